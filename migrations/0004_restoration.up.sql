-- A deletion is final, except for a restore that is recorded.
--
-- A row is live while deleted_at is null, and it is deleted once. Nothing in PostgreSQL stops an
-- update from changing deleted_at, or from taking it back. The functions below do, for every
-- writer. Each table has one of them as an "after update ... when" trigger. PostgreSQL evaluates
-- the condition inside the executor, so an ordinary soft delete never calls the function. Unlike a
-- before trigger, an after trigger adds no lock of its own.
--
-- The functions also refuse a deleted_at that is not the time of the transaction. A purge erases
-- rows by that time, so a writer that could choose it could have a row erased at once.
--
-- The record of a restore is the only way back. Its insert restores all rows of the operation, or
-- fails.
--
--   insert into restoration (id, operation_id, requester_id, customer_id, resource, restored_ids)
--   select gen_random_uuid(), id, requester_id, customer_id, resource, target_ids
--   from operation
--   where id = '<operation id>';
--
-- No setting of this schema allows a restore: any role could change a setting. Products are never
-- restored (their documents say so). Tables without deleted_by, which other services delete from,
-- have no way back.

-- A restore is a row of its own table, and not another kind of operation, for two reasons. The
-- service may insert operations, and must not be able to undo a deletion. And a reader of
-- operations, by a view or a publication, would take a restore for a second deletion of the rows.
create table restoration (
  id uuid primary key,
  operation_id uuid not null,
  requester_id uuid not null,
  customer_id uuid not null,
  resource resource not null,
  restored_ids uuid[] not null,
  restored_by text not null default session_user,
  restored_at timestamptz not null default now(),

  constraint restoration_operation_id_key unique (operation_id),
  constraint restoration_is_valid check (resource <> 'product')
);

create function restoration_is_of_its_operation() returns trigger
language plpgsql security definer as $$
begin
  if not exists (
    select
    from operation
    where operation.id = new.operation_id
      and operation.status = 'SUCCESS'
      and operation.requester_id = new.requester_id
      and operation.customer_id = new.customer_id
      and operation.resource = new.resource
      and operation.target_ids = new.restored_ids
  ) then
    raise exception 'restoration % differs from the operation %', new.id, new.operation_id
      using errcode = 'check_violation', constraint = tg_name;
  end if;
  return new;
end
$$;

create trigger restoration_is_of_its_operation
  before insert on restoration
  for each row
  execute function restoration_is_of_its_operation();

create function restoration_is_whole() returns trigger
language plpgsql security definer as $$
declare
  restored bigint;
begin
  case new.resource
    when 'contact' then
      update contact
      set deleted_at = null, deleted_by = null
      where contact.id = any (new.restored_ids)
        and contact.deleted_by = new.operation_id;
    when 'address' then
      update address
      set deleted_at = null, deleted_by = null
      where address.id = any (new.restored_ids)
        and address.deleted_by = new.operation_id;
    when 'external-params' then
      update external_params
      set deleted_at = null, deleted_by = null
      where external_params.id = any (new.restored_ids)
        and external_params.deleted_by = new.operation_id;
    when 'zone' then
      update zone
      set deleted_at = null, deleted_by = null
      where zone.id = any (new.restored_ids)
        and zone.deleted_by = new.operation_id;
  end case;
  get diagnostics restored = row_count;
  if restored <> cardinality(new.restored_ids) then
    raise exception 'restoration % restored % of % rows', new.id, restored, cardinality(new.restored_ids)
      using errcode = 'check_violation', constraint = tg_name;
  end if;
  return null;
end
$$;

create trigger restoration_is_whole
  after insert on restoration
  for each row
  execute function restoration_is_whole();

-- A restore is proven by its record. It is never changed, and it outlasts its operation.
create function record_is_kept() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception '% of the records in % is refused', lower(tg_op), tg_table_name
    using errcode = 'restrict_violation';
end
$$;

create function restoration_outlasts_its_operation() returns trigger
language plpgsql security definer as $$
begin
  if exists (
    select
    from operation
    where operation.id = old.operation_id
  ) then
    raise exception 'restoration % is of an operation that still exists', old.id
      using errcode = 'restrict_violation', constraint = tg_name;
  end if;
  return null;
end
$$;

create trigger restoration_is_kept
  before update or truncate on restoration
  for each statement
  execute function record_is_kept();

-- Operations are deleted one by one, so that other triggers see each of them.
create trigger operation_is_kept
  before truncate on operation
  for each statement
  execute function record_is_kept();

create trigger restoration_outlasts_its_operation
  after delete on restoration
  for each row
  execute function restoration_outlasts_its_operation();

comment on table restoration is 'A recorded restore: it made all rows that the operation had deleted live again.';
comment on column restoration.id is 'The restore''s own id. It is no requestId.';
comment on column restoration.operation_id is 'The operation that was undone. No foreign key: operations are purged by their own age.';
comment on column restoration.requester_id is 'The customer for whom the rows had been deleted.';
comment on column restoration.customer_id is 'The customer whose rows they are.';
comment on column restoration.resource is 'The resource of the operation.';
comment on column restoration.restored_ids is 'The ids of the restored rows, each once, in ascending order.';
comment on column restoration.restored_by is 'The role that restored.';
comment on column restoration.restored_at is 'When its transaction began.';
comment on function restoration_is_of_its_operation() is 'Refuses a restoration that differs from its operation.';
comment on function restoration_is_whole() is 'Restores all rows of a restoration, or refuses it.';
comment on function record_is_kept() is 'Refuses to change or remove records.';
comment on function restoration_outlasts_its_operation() is 'Refuses to delete the record of a restore while its operation exists.';

create function deleted_once() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if old.deleted_at is null then
    raise exception 'deleted_at of % % is not the time of its transaction', tg_table_name, old.id
      using errcode = 'restrict_violation', hint = 'Set deleted_at to now().';
  end if;
  raise exception 'the deletion of % % is final', tg_table_name, old.id
    using errcode = 'restrict_violation';
end
$$;

-- A restore calls it once for each row, so it reads no table. It runs with the rights of the writer.
-- Only the owner of the schema may execute it, and restoration_is_whole is the only trigger function
-- of the owner that clears deleted_at.
create function deleted_until_restored() returns trigger
language plpgsql as $$
begin
  if new.deleted_at is null and new.id = old.id and pg_trigger_depth() > 1 then
    if has_function_privilege('deleted_until_restored()'::regprocedure, 'execute') then
      return null;
    end if;
  end if;
  if old.deleted_at is null then
    raise exception 'deleted_at of % % is not the time of its transaction', tg_table_name, old.id
      using errcode = 'restrict_violation', hint = 'Set deleted_at to now().';
  end if;
  if (new.id, new.deleted_at, new.deleted_by) is not distinct from (old.id, old.deleted_at, old.deleted_by) then
    return null;
  end if;
  raise exception 'the deletion of % % is final', tg_table_name, old.id
    using errcode = 'restrict_violation',
      hint = 'Only a restore of the operation that deleted a row can end its deletion.';
end
$$;

-- The functions find the tables of their own schema, whatever the search_path of the writer is.
do $$
begin
  execute format('alter function deleted_until_restored() set search_path = %I, pg_temp', current_schema());
  execute format('alter function restoration_is_of_its_operation() set search_path = %I, pg_temp', current_schema());
  execute format('alter function restoration_is_whole() set search_path = %I, pg_temp', current_schema());
  execute format('alter function restoration_outlasts_its_operation() set search_path = %I, pg_temp', current_schema());
end
$$;

revoke execute on function
  deleted_once(), deleted_until_restored(), restoration_is_of_its_operation(), restoration_is_whole(),
  record_is_kept(), restoration_outlasts_its_operation()
  from public;

comment on function deleted_once() is 'Refuses a deletion at another time than now(), and every change of a deletion.';
comment on function deleted_until_restored() is 'Like deleted_once(), but allows a deletion to end by the restoration of its operation.';

-- Other systems learn of restores, each once, by logical replication. This publication is apart
-- from that of the deletions: a subscriber to deletions has no table for restores, and would stop
-- at the first one. A subscription to both gets them in the order of their commits, so that a
-- deletion always comes before its restore. Deletes are not sent: a purge of the record undoes
-- nothing.
do $do$
declare
  name text := concat('customer_deletion_restorations', '_of_' || nullif(current_schema(), 'public'));
begin
  execute replace($sql$
create publication customer_deletion_restorations
  for table restoration (id, operation_id, requester_id, customer_id, resource, restored_ids, restored_at)
  with (publish = 'insert')
$sql$, 'customer_deletion_restorations', quote_ident(name));
  execute format('comment on publication %I is %L', name, 'The deletions that were undone, in the order of their commits.');
end
$do$;

insert into schema_version (version, oldest_build) values (4, 12);
