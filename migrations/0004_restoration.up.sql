-- A deletion is final, except for a restore that is recorded.
--
-- A row is live while deleted_at is null, and it is deleted once. Nothing in PostgreSQL stops an
-- update from changing deleted_at, or from taking it back. The functions below do, for every writer.
-- Each table has one of them as an "after update ... when" trigger. PostgreSQL evaluates the
-- condition inside the executor, so an ordinary soft delete never calls the function. Unlike a before
-- trigger, an after trigger adds no lock of its own.
--
-- The record of a restore is the only way back: the guard lets a deletion be taken back if the same
-- transaction records the restoration of the operation that deleted the row.
--
--   with restored as (
--     update contact set deleted_at = null, deleted_by = null
--     where deleted_by = '<operation id>' and id = any('<ids>')
--     returning id
--   )
--   insert into restoration (id, operation_id, ..., restored_rows) select ..., count(*) from restored;
--
-- A setting of the session, which any role may change, opens nothing. Products never come back (their
-- documents say so). Tables without deleted_by, which other services delete from, have no way back.

-- A table of its own, and not another kind of operation, for two reasons. The service inserts
-- operations, and could give itself the right to undo a deletion; nobody has to grant it this table.
-- And a reader of operations, by a view or a publication, reads deletions: a restore among them would
-- look like a second deletion of the same rows.
create table restoration (
  id uuid primary key,
  operation_id uuid not null,
  requester_id uuid not null,
  customer_id uuid not null,
  resource resource not null,
  restored_ids uuid[] not null,
  restored_rows integer not null,
  restored_by text not null default session_user,
  restored_at timestamptz not null default now(),
  transaction_id xid8 not null default pg_current_xact_id(),

  constraint restoration_operation_id_key unique (operation_id),

  -- All or nothing, as for operations: a restore that gave back fewer rows than were deleted cannot
  -- be committed.
  constraint restoration_is_valid check (
    resource <> 'product'
    and restored_rows > 0
    and restored_rows = cardinality(restored_ids)
  )
);

comment on table restoration is 'A recorded restore: an operation whose rows were all put back.';
comment on column restoration.id is 'The restore''s own id. It is no requestId.';
comment on column restoration.operation_id is 'The operation that was undone. No foreign key: operations are purged by their own age.';
comment on column restoration.requester_id is 'The customer for whom the rows had been deleted.';
comment on column restoration.customer_id is 'The customer whose rows they are.';
comment on column restoration.resource is 'The resource of the operation.';
comment on column restoration.restored_ids is 'The ids that were put back, each once, in ascending order.';
comment on column restoration.restored_rows is 'All of restored_ids.';
comment on column restoration.restored_by is 'The role that restored.';
comment on column restoration.restored_at is 'When its transaction began.';
comment on column restoration.transaction_id is 'The transaction of the restore: the guard opens in no other.';

create function deleted_once() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception 'the deletion of % % is final', tg_table_name, old.id
    using errcode = 'restrict_violation';
end
$$;

-- It runs with the rights of its owner: a writer without any right to the records gets the same
-- answer as others.
create function deleted_until_restored() returns trigger
language plpgsql security definer as $$
begin
  if new.deleted_at is not distinct from old.deleted_at
    and new.deleted_by is not distinct from old.deleted_by
  then
    return null;
  end if;
  if new.deleted_at is null
    and exists (
      select
      from restoration
      where restoration.operation_id = old.deleted_by
        and restoration.transaction_id = pg_current_xact_id()
        and old.id = any (restoration.restored_ids)
    )
  then
    return null;
  end if;
  raise exception 'the deletion of % % is final', tg_table_name, old.id
    using errcode = 'restrict_violation',
      hint = 'Only the restore of the operation that deleted a row takes deleted_at back.';
end
$$;

-- The function finds the table of its own schema, whatever the search_path of the writer is.
do $$
begin
  execute format('alter function deleted_until_restored() set search_path = %I, pg_temp', current_schema());
end
$$;

revoke execute on function deleted_once(), deleted_until_restored() from public;

comment on function deleted_once() is 'Refuses to change or take back a deletion.';
comment on function deleted_until_restored() is 'Refuses to change or take back a deletion, except to the transaction that records the restoration of its operation.';

-- Other systems learn of restores, each once, by logical replication. This publication is apart from
-- that of the deletions: a subscriber to deletions has no table for restores, and would stop at the
-- first one. A subscription to both gets them in the order of their commits, so that a deletion
-- always comes before its restore. Deletes are not sent: a purge of the record undoes nothing.
create publication customer_deletion_restorations
  for table restoration (id, operation_id, requester_id, customer_id, resource, restored_ids, restored_at)
  with (publish = 'insert');

comment on publication customer_deletion_restorations is 'The deletions that were taken back, in the order of their commits.';

insert into schema_version (version, oldest_build) values (4, 12);
