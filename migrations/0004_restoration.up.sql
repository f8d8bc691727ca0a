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
-- The record of a restore is the only way back. A restoration names the rows that its transaction
-- may restore, and its transaction cannot be committed before all of them are restored.
--
--   insert into restoration (id, operation_id, requester_id, customer_id, resource, restored_ids)
--   select gen_random_uuid(), id, requester_id, customer_id, resource, target_ids
--   from operation
--   where id = '<operation id>';
--   update contact set deleted_at = null, deleted_by = null
--   where id = any('<ids>') and deleted_by = '<operation id>';
--
-- A setting of the session has no effect, because any role may change it. Products are never
-- restored (their documents say so). Tables without deleted_by, which other services delete from,
-- have no way back.

-- A table of its own, and not another kind of operation, for two reasons. The service inserts
-- operations, and could give itself the right to undo a deletion; nobody has to grant it this
-- table. And a reader of operations, by a view or a publication, reads deletions: a restore among
-- them would look like a second deletion of the same rows.
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

-- The rows that the current transaction may restore. Each restoration empties it before the commit,
-- so a transaction finds here only what it inserted itself. A guard that searched restored_ids
-- instead would read the whole list for each of its rows.
create unlogged table restored_row (
  operation_id uuid,
  id uuid,
  primary key (operation_id, id)
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
  insert into restored_row (operation_id, id)
  select new.operation_id, unnest(new.restored_ids);
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
  delete from restored_row
  where restored_row.operation_id = new.operation_id;
  case new.resource
    when 'contact' then
      select count(*) into restored
      from contact
      where contact.id = any (new.restored_ids)
        and contact.deleted_by is distinct from new.operation_id;
    when 'address' then
      select count(*) into restored
      from address
      where address.id = any (new.restored_ids)
        and address.deleted_by is distinct from new.operation_id;
    when 'external-params' then
      select count(*) into restored
      from external_params
      where external_params.id = any (new.restored_ids)
        and external_params.deleted_by is distinct from new.operation_id;
    when 'zone' then
      select count(*) into restored
      from zone
      where zone.id = any (new.restored_ids)
        and zone.deleted_by is distinct from new.operation_id;
  end case;
  if restored <> cardinality(new.restored_ids) then
    raise exception 'restoration % restored % of % rows', new.id, restored, cardinality(new.restored_ids)
      using errcode = 'check_violation', constraint = tg_name;
  end if;
  return null;
end
$$;

create constraint trigger restoration_is_whole
  after insert on restoration
  deferrable initially deferred
  for each row
  execute function restoration_is_whole();

comment on table restoration is 'A recorded restore: an operation whose rows were all put back.';
comment on column restoration.id is 'The restore''s own id. It is no requestId.';
comment on column restoration.operation_id is 'The operation that was undone. No foreign key: operations are purged by their own age.';
comment on column restoration.requester_id is 'The customer for whom the rows had been deleted.';
comment on column restoration.customer_id is 'The customer whose rows they are.';
comment on column restoration.resource is 'The resource of the operation.';
comment on column restoration.restored_ids is 'The ids that were put back, each once, in ascending order.';
comment on column restoration.restored_by is 'The role that restored.';
comment on column restoration.restored_at is 'When its transaction began.';
comment on table restored_row is 'The rows that the current transaction may restore. Empty for everybody else.';
comment on column restored_row.operation_id is 'The operation that deleted the row.';
comment on column restored_row.id is 'The id of the row.';
comment on function restoration_is_of_its_operation() is 'Refuses a restoration that differs from its operation, and names the rows that its transaction may restore.';
comment on function restoration_is_whole() is 'Refuses to commit a restoration whose rows are not all restored.';

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

-- It runs with the rights of its owner: a writer without any right to the records gets the same
-- answer as others.
create function deleted_until_restored() returns trigger
language plpgsql security definer as $$
begin
  if old.deleted_at is null then
    raise exception 'deleted_at of % % is not the time of its transaction', tg_table_name, old.id
      using errcode = 'restrict_violation', hint = 'Set deleted_at to now().';
  end if;
  if new.deleted_at is not distinct from old.deleted_at
    and new.deleted_by is not distinct from old.deleted_by
  then
    return null;
  end if;
  if new.deleted_at is null
    and exists (
      select
      from restored_row
      where restored_row.operation_id = old.deleted_by
        and restored_row.id = old.id
    )
  then
    return null;
  end if;
  raise exception 'the deletion of % % is final', tg_table_name, old.id
    using errcode = 'restrict_violation',
      hint = 'Only the restore of the operation that deleted a row takes deleted_at back.';
end
$$;

-- The functions find the tables of their own schema, whatever the search_path of the writer is.
do $$
begin
  execute format('alter function deleted_until_restored() set search_path = %I, pg_temp', current_schema());
  execute format('alter function restoration_is_of_its_operation() set search_path = %I, pg_temp', current_schema());
  execute format('alter function restoration_is_whole() set search_path = %I, pg_temp', current_schema());
end
$$;

revoke execute on function
  deleted_once(), deleted_until_restored(), restoration_is_of_its_operation(), restoration_is_whole()
  from public;

comment on function deleted_once() is 'Refuses a deletion at another time than now(), and to change or take back one.';
comment on function deleted_until_restored() is 'Like deleted_once(), but lets a deletion be taken back by the transaction that records the restoration of its operation.';

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
  execute format('comment on publication %I is %L', name, 'The deletions that were taken back, in the order of their commits.');
end
$do$;

insert into schema_version (version, oldest_build) values (4, 12);
