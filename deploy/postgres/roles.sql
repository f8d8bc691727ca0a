-- Four roles, and the rights that each of them needs.
--
--   psql -v ON_ERROR_STOP=1 -f deploy/postgres/roles.sql "$DATABASE_URL"
--
-- Run it after every `customer-deletion migrate`, in the database of the service, also under load. The first time, run
-- it as a superuser, or as an owner of the database who may create roles. Later, any member of customer_deletion_owner
-- may run it. An owner of a second database of the cluster who did not create the roles must be made a member first.
--
-- The last three roles get the rights below. Other rights of theirs are revoked: on the tables and views of the service,
-- on their schema, and to create objects and temporary tables in the database. On the schema and the database, this
-- takes a superuser or the owner of the database; run by others, the file warns that it revoked nothing there.
-- Memberships in other roles, and rights to other objects, stay.
--
-- The roles are groups, and nobody logs in as one of them. A role that logs in is a member:
--
--   create role the_service login password 'choose-one' in role customer_deletion_service;
--
--   customer_deletion_owner        owns the schema, and migrates it
--   customer_deletion_service      is the running service: it deletes
--   customer_deletion_maintenance  runs restore, purge, verify and operations, and places legal holds
--   customer_deletion_support      sees who deleted what, and no other personal data
--
-- Other services that write here, and other readers, have roles of their own.

begin;

-- Roles belong to the cluster, and may exist already for another database.
do $$
declare
  wanted text;
begin
  -- Other migration tools have a table schema_version too. This file must not take over tables beside
  -- theirs, like customer.
  if not exists (
    select
    from pg_class
    join pg_attribute on pg_attribute.attrelid = pg_class.oid
    where pg_class.oid = to_regclass('schema_version')
      and pg_class.relnamespace = quote_ident(current_schema())::regnamespace
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

  -- Only a member can change the owner of the tables, and grant the rights below. Since PostgreSQL 16, the creator of a
  -- role may not become it without a grant; older versions do not make this difference. A superuser is a member of
  -- every role.
  if not pg_has_role('customer_deletion_owner', 'usage')
    or not pg_has_role(
      'customer_deletion_owner', case when current_setting('server_version_num')::int < 160000 then 'member' else 'set' end
    )
  then
    grant customer_deletion_owner to current_user;
  end if;

  -- Until a migration has created a table, a table of its name is somebody else's.
  if (select count(*) from schema_version where version between 1 and 14) < 14 then
    raise exception 'the schema lacks migrations, of which the newest is 14'
      using hint = 'Run customer-deletion migrate first.';
  end if;
end
$$;

-- Only the owner creates objects: tables in the schema, and publications in the database. By default, every role may
-- create temporary tables in any database; that is revoked. Grant it by name to a role that needs it. This block is the
-- first, because a new owner of a table must have the right to create objects in its schema.
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
    -- As the migrations name them.
    where pg_publication.pubname in (
        concat('customer_deletion', '_of_' || nullif(current_schema(), 'public'))::name,
        concat('customer_deletion_restorations', '_of_' || nullif(current_schema(), 'public'))::name
      )
      and pg_publication.pubowner <> 'customer_deletion_owner'::regrole
  loop
    execute format('alter publication %I owner to customer_deletion_owner', publication);
  end loop;
end
$$;

-- Everything belongs to the owner, whoever migrated, and other roles have only the rights that are granted below. A
-- table that the owner has already is skipped, because a change of its owner would wait for every transaction on it.
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
      'external_params', 'zone', 'product', 'product_allocation', 'operation', 'operation_queue', 'restoration',
      'purge', 'erasure', 'legal_hold', 'legal_hold_count',
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
      'restoration_is_of_its_operation()', 'restoration_is_whole()', 'restoration_outlasts_its_operation()',
      'record_is_kept()', 'purge_is_kept()', 'erasure_is_kept()', 'legal_hold_is_kept()', 'legal_holds_are_seen()',
      'row_is_not_on_hold()', 'table_is_not_on_hold()',
      'operation_is_sent_whole()', 'operation_is_valid(text, uuid[], text, integer, text, timestamptz, text)'
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

-- The service reads the columns that decide about a deletion, and no others.
grant select on schema_version to customer_deletion_service;
grant select (id, parent_id, deleted_at) on customer to customer_deletion_service;
grant select (id, customer_id, deleted_at) on contact, address, subscriber, sell_plan, zone, product
  to customer_deletion_service;
grant select (id, customer_id, sub_customer_id, subscriber_id, sell_plan_id, deleted_at) on external_params
  to customer_deletion_service;
grant select (product_id, customer_id, live) on product_allocation to customer_deletion_service;

-- A shared statement locks rows, and then updates them by their ctid.
grant select (ctid) on contact, address, external_params, zone to customer_deletion_service;

-- It deletes rows.
grant update (deleted_at, deleted_by) on contact, address, external_params, zone, product to customer_deletion_service;

-- It finds the call that deleted a row.
grant select (deleted_by) on contact, address, external_params, zone, product to customer_deletion_service;

-- It locks rows that it does not delete. PostgreSQL lets a role lock a row if the role may update one of its columns.
-- These three columns take no other value than their present one.
grant update (live) on customer to customer_deletion_service;
grant update (held) on subscriber, sell_plan to customer_deletion_service;

-- It records its calls. The database sets the time.
grant select on operation to customer_deletion_service;
grant insert (
  id, requester_id, customer_id, resource, target_ids, status, error_code, failed_ids, failures, deleted_rows, idempotency_key,
  completed_at, actor
) on operation to customer_deletion_service;

-- It executes accepted operations: it ends an open one, once, and maintains the queue.
grant update (status, error_code, failed_ids, failures, deleted_rows, attempts, idempotency_key, completed_at) on operation
  to customer_deletion_service;
grant select, delete on operation_queue to customer_deletion_service;
grant insert (operation_id, requester_id, customer_id, rank) on operation_queue to customer_deletion_service;
grant update (rank, attempts, lease_id, free_at) on operation_queue to customer_deletion_service;

-- It tells a requester when the rows of an operation were restored.
grant select (operation_id, restored_at) on restoration to customer_deletion_service;

-- The maintenance: `restore` undoes a deletion, `purge` erases rows for good. Of the data in the rows,
-- they read only the names of zones.
grant select on schema_version to customer_deletion_maintenance;
grant select (id, parent_id, deleted_at, live) on customer to customer_deletion_maintenance;
grant select (id, customer_id, deleted_at) on subscriber, sell_plan to customer_deletion_maintenance;
grant select (id, customer_id, deleted_at, deleted_by) on contact, address, external_params, zone, product
  to customer_deletion_maintenance;
grant select (sub_customer_id, subscriber_id, sell_plan_id) on external_params to customer_deletion_maintenance;
-- `restore` checks whether the name of a zone is taken.
grant select (name) on zone to customer_deletion_maintenance;
grant select (id, product_id, customer_id, live) on product_allocation to customer_deletion_maintenance;
grant select (id, requester_id, customer_id, resource, target_ids, deleted_rows, status, created_at) on operation
  to customer_deletion_maintenance;
grant select (operation_id, restored_by, restored_at) on restoration
  to customer_deletion_maintenance;
-- `purge` reads each table in ranges of ctid.
grant select (ctid) on contact, address, external_params, zone, product to customer_deletion_maintenance;

-- `restore` records that it undoes a deletion, and locks the rows and the entities that they refer to. The database
-- restores the rows, and sets the role and the time. To lock rows it needs a right to update them, which can change
-- nothing: a live row has no deleter, and the deletion of the others is final.
grant update (deleted_by) on contact, address, external_params, zone to customer_deletion_maintenance;
grant update (live) on customer to customer_deletion_maintenance;
grant update (held) on subscriber, sell_plan to customer_deletion_maintenance;
grant insert (id, operation_id, requester_id, customer_id, resource, restored_ids) on restoration
  to customer_deletion_maintenance;

-- `purge` locks rows and erases them. Only `purge --customer` erases customers, subscribers and sell plans.
grant update (deleted_by) on product to customer_deletion_maintenance;
grant delete on
  contact, address, external_params, zone, product, product_allocation, operation, restoration,
  customer, subscriber, sell_plan
  to customer_deletion_maintenance;

-- `purge --customer` erases the actors of the customer's calls. A trigger refuses any other change of a call that has ended.
grant update (actor) on operation to customer_deletion_maintenance;

-- `purge` records what it erased. The database itself sets the role and the time.
grant select on purge, erasure to customer_deletion_maintenance;
grant insert (id, kind, rows_before, operations_before, subject_ids) on purge to customer_deletion_maintenance;
grant update (erased, ended_at) on purge to customer_deletion_maintenance;
grant insert (operation_id, purge_id, erased_rows), update (erased_rows), delete on erasure to customer_deletion_maintenance;

-- `hold` and `release`. The database itself sets the role and the time. A hold is never deleted.
grant select, insert (id, customer_id, reason), update (released_at) on legal_hold to customer_deletion_maintenance;

-- `operations` shows operations without their keys, and retries one as a new operation. It can insert open operations
-- only: others have columns that it must not insert.
grant select (error_code, failed_ids, failures, attempts, completed_at, actor) on operation to customer_deletion_maintenance;
grant insert (id, requester_id, customer_id, resource, target_ids, status, idempotency_key, actor) on operation
  to customer_deletion_maintenance;
grant select, insert (operation_id, requester_id, customer_id, rank) on operation_queue to customer_deletion_maintenance;
-- It cancels a queued operation. It cannot make it a success: it must not write the number of deleted rows. To lock the row
-- in the queue, it needs a right to update it.
grant update (status, error_code, attempts, completed_at) on operation to customer_deletion_maintenance;
grant delete, update (attempts) on operation_queue to customer_deletion_maintenance;

-- `verify` reads what has to agree with the rest.
grant select (customer_live) on product_allocation to customer_deletion_maintenance;
grant select (id, requester_id, customer_id, resource, restored_ids) on restoration to customer_deletion_maintenance;

-- Support: the history, the calls without their keys, the queue, the restorations, and the names of the customers.
grant select on deletion_history to customer_deletion_support;
grant select (
  id, requester_id, actor, customer_id, resource, target_ids, status, error_code, failed_ids, failures, deleted_rows, attempts,
  created_at, completed_at
) on operation to customer_deletion_support;
grant select (id, parent_id, name, created_at, deleted_at) on customer to customer_deletion_support;
grant select on operation_queue, restoration to customer_deletion_support;

commit;
