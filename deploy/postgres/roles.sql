-- Who may do what: four roles, and exactly what each of them needs.
--
--   psql -v ON_ERROR_STOP=1 -f deploy/postgres/roles.sql "$DATABASE_URL"
--
-- Run it after every `customer-deletion migrate`, in the database of the service: the first time as a superuser, or as whoever
-- owns the database and may create roles; then any member of customer_deletion_owner will do. Who owns a second database of the
-- cluster, and did not make its roles, is made a member first. It can be run at any time, also under load: of rights on the
-- tables and views of the service, on their schema, and to create and to make temporary tables in the database, it leaves the
-- last three of these roles with what stands below, and takes whatever else was granted them. What was granted on the schema or
-- the database only a superuser takes, or who owns the database: run by others, the file warns that it revoked nothing there.
-- It takes no membership in other roles, and no right to anything else.
--
-- The roles are groups, and nobody logs in as one of them. Whoever logs in is made a member:
--
--   create role the_service login password 'choose-one' in role customer_deletion_service;
--
--   customer_deletion_owner        owns the schema, and migrates it
--   customer_deletion_service      deletes, as the running service does
--   customer_deletion_maintenance  gives back, and erases for good
--   customer_deletion_support      sees who deleted what, and no personal data
--
-- Other services that write here, and other readers, have roles of their own.

begin;

-- Roles belong to the cluster, and may be there already for another database.
do $$
declare
  wanted text;
begin
  -- Other migration tools have a table schema_version too. Tables beside theirs, like customer, are
  -- not to be taken over.
  if not exists (
    select
    from pg_class
    join pg_attribute on pg_attribute.attrelid = pg_class.oid
    where pg_class.oid = to_regclass('schema_version')
      and pg_class.relnamespace = current_schema()::regnamespace
      and (pg_attribute.attname, pg_attribute.atttypid) in (
        ('version', 'bigint'::regtype), ('applied_at', 'timestamptz'::regtype), ('applied_by', 'text'::regtype)
      )
    having count(*) = 3
  ) then
    raise exception 'there is no schema yet: the first schema of the search_path has no schema_version of this service'
      using hint = 'Run customer-deletion migrate first, or set the search_path as it was then.';
  end if;
  foreach wanted in array array[
    'customer_deletion_owner', 'customer_deletion_service', 'customer_deletion_maintenance', 'customer_deletion_support'
  ] loop
    if to_regrole(wanted) is null then
      execute format('create role %I nologin', wanted);
    end if;
  end loop;

  -- Only a member can hand the tables over, and grant what stands below. Who made a role is in PostgreSQL 16 and newer not one
  -- that may become it, and older ones do not tell these apart. A superuser is a member of every role.
  if not pg_has_role('customer_deletion_owner', 'usage')
    or not pg_has_role(
      'customer_deletion_owner', case when current_setting('server_version_num')::int < 160000 then 'member' else 'set' end
    )
  then
    grant customer_deletion_owner to current_user;
  end if;
end
$$;

-- The owner makes what migrations make: tables in the schema, and publications in the database. Nobody else makes anything: not
-- even temporary tables, which a role may otherwise have in any database. Who needs some is granted that by name. This comes
-- first, because what is handed over below goes only to a role that may create in the schema.
do $$
declare
  publication name;
begin
  execute format('grant create, temporary on database %I to customer_deletion_owner', current_database());
  execute format(
    'revoke create, temporary on database %I
     from public, customer_deletion_service, customer_deletion_maintenance, customer_deletion_support',
    current_database()
  );
  execute format(
    'grant connect on database %I
     to customer_deletion_owner, customer_deletion_service, customer_deletion_maintenance, customer_deletion_support',
    current_database()
  );
  execute format('grant create on schema %I to customer_deletion_owner', current_schema());
  execute format('revoke create on schema %I from public', current_schema());
  execute format(
    'revoke all on schema %I from customer_deletion_service, customer_deletion_maintenance, customer_deletion_support',
    current_schema()
  );
  execute format(
    'grant usage on schema %I
     to customer_deletion_owner, customer_deletion_service, customer_deletion_maintenance, customer_deletion_support',
    current_schema()
  );
  for publication in
    select pg_publication.pubname
    from pg_publication
    where pg_publication.pubname in ('customer_deletion', 'customer_deletion_restorations')
      and pg_publication.pubowner <> 'customer_deletion_owner'::regrole
  loop
    execute format('alter publication %I owner to customer_deletion_owner', publication);
  end loop;
end
$$;

-- Everything belongs to the owner, whoever migrated, and nobody else has any right that is not granted below. A table that is
-- the owner's already is left alone, because a change of its owner would wait for every transaction on it.
do $$
declare
  relation regclass;
  routine regprocedure;
  word_list regtype;
begin
  for relation in
    select pg_class.oid
    from unnest(array[
      'schema_version', 'customer', 'customer_tree', 'contact', 'address', 'subscriber', 'sell_plan',
      'external_params', 'zone', 'product', 'product_allocation', 'operation', 'operation_queue', 'restoration', 'restored_row',
      'live_customer', 'live_contact', 'live_address', 'live_subscriber', 'live_sell_plan', 'live_external_params',
      'live_zone', 'live_product', 'live_product_allocation', 'deletion_history'
    ]) as own (name)
    join pg_class on pg_class.oid = to_regclass(format('%I.%I', current_schema(), own.name))
  loop
    if (select relowner from pg_class where oid = relation) <> 'customer_deletion_owner'::regrole then
      execute format('alter table %s owner to customer_deletion_owner', relation);
    end if;
    execute format(
      'revoke all on %s from public, customer_deletion_service, customer_deletion_maintenance, customer_deletion_support',
      relation
    );
  end loop;

  for routine in
    select pg_proc.oid
    from unnest(array[
      'deleted_once()', 'deleted_until_restored()', 'customer_has_no_cycle()', 'operation_ends_once()',
      'restoration_is_of_its_operation()', 'restoration_is_whole()',
      'operation_is_sent_whole()', 'operation_is_valid(text, uuid[], text, integer, text, timestamptz)'
    ]) as own (name)
    join pg_proc on pg_proc.oid = to_regprocedure(format('%I.%s', current_schema(), own.name))
    where pg_proc.proowner <> 'customer_deletion_owner'::regrole
  loop
    execute format('alter function %s owner to customer_deletion_owner', routine);
  end loop;

  for word_list in
    select pg_type.oid
    from unnest(array['resource', 'contact_type', 'contact_role', 'renewal_interval']) as own (name)
    join pg_type on pg_type.oid = to_regtype(own.name)
    where pg_type.typowner <> 'customer_deletion_owner'::regrole
  loop
    execute format('alter type %s owner to customer_deletion_owner', word_list);
  end loop;
end
$$;

-- The service. It reads what decides about a deletion, and nothing else that is in those rows.
grant select on schema_version to customer_deletion_service;
grant select (id, parent_id, deleted_at) on customer to customer_deletion_service;
grant select (id, customer_id, deleted_at) on contact, address, subscriber, sell_plan, zone, product
  to customer_deletion_service;
grant select (id, customer_id, sub_customer_id, subscriber_id, sell_plan_id, deleted_at) on external_params
  to customer_deletion_service;
grant select (product_id, live) on product_allocation to customer_deletion_service;

-- It deletes.
grant update (deleted_at, deleted_by) on contact, address, external_params, zone, product to customer_deletion_service;

-- It holds rows still that it does not delete. PostgreSQL lets a role lock a row if it may update any of its columns: these
-- three take no other value than the one that they have.
grant update (live) on customer to customer_deletion_service;
grant update (held) on subscriber, sell_plan to customer_deletion_service;

-- It records its calls. When it recorded them is the database's to say.
grant select on operation to customer_deletion_service;
grant insert (
  id, requester_id, customer_id, resource, target_ids, status, error_code, failed_ids, deleted_rows, idempotency_key, completed_at
) on operation to customer_deletion_service;

-- It does later what callers do not wait for: it ends an operation that is open, once, and keeps the queue.
grant update (status, error_code, failed_ids, deleted_rows, idempotency_key, completed_at) on operation
  to customer_deletion_service;
grant select, delete on operation_queue to customer_deletion_service;
grant insert (operation_id, requester_id, customer_id, turn) on operation_queue to customer_deletion_service;
grant update (turn, attempts, lease_id, free_at) on operation_queue to customer_deletion_service;

-- The maintenance: `restore` takes a deletion back, `purge` erases rows for good. Neither reads what is in the rows.
grant select on schema_version to customer_deletion_maintenance;
grant select (id, parent_id, deleted_at, live) on customer to customer_deletion_maintenance;
grant select (id, customer_id, deleted_at) on subscriber, sell_plan to customer_deletion_maintenance;
grant select (id, customer_id, deleted_at, deleted_by) on contact, address, external_params, zone, product
  to customer_deletion_maintenance;
grant select (sub_customer_id, subscriber_id, sell_plan_id) on external_params to customer_deletion_maintenance;
-- Whether it is taken.
grant select (name) on zone to customer_deletion_maintenance;
grant select (id, product_id, customer_id, live) on product_allocation to customer_deletion_maintenance;
grant select (id, requester_id, customer_id, resource, target_ids, deleted_rows, status, created_at) on operation
  to customer_deletion_maintenance;
grant select (operation_id, restored_by, restored_at) on restoration
  to customer_deletion_maintenance;
-- Where a row lies: tables are read a piece at a time.
grant select (ctid) on contact, address, external_params, zone, product to customer_deletion_maintenance;

-- `restore` takes back, and holds what the rows hang on. The database says who restored, and when.
grant update (deleted_at, deleted_by) on contact, address, external_params, zone to customer_deletion_maintenance;
grant update (live) on customer to customer_deletion_maintenance;
grant update (held) on subscriber, sell_plan to customer_deletion_maintenance;
grant insert (id, operation_id, requester_id, customer_id, resource, restored_ids) on restoration
  to customer_deletion_maintenance;

-- `purge` erases, and locks what it erases. For products that takes a right to update, and none that changes anything: live ones
-- have no deleter, and the deletion of others is final. Customers, subscribers and sell plans go by `purge --customer` alone.
grant update (deleted_by) on product to customer_deletion_maintenance;
grant delete on
  contact, address, external_params, zone, product, product_allocation, operation, restoration,
  customer, subscriber, sell_plan
  to customer_deletion_maintenance;

-- Support: the history, the calls without their keys, and who the customers are.
grant select on deletion_history to customer_deletion_support;
grant select (
  id, requester_id, customer_id, resource, target_ids, status, error_code, failed_ids, deleted_rows, created_at, completed_at
) on operation to customer_deletion_support;
grant select (id, parent_id, name, created_at, deleted_at) on customer to customer_deletion_support;
grant select on operation_queue, restoration to customer_deletion_support;

commit;
