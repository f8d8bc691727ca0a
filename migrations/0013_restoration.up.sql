-- What was put back: one row for each operation whose deletion was undone.
--
-- A table of its own, and not another kind of operation, for two reasons. The service inserts operations, and so could give
-- itself the right to undo a deletion; nobody has to grant it this table. And whoever reads operations, by a view or by a
-- publication, reads deletions: a restore among them would look like a second deletion of the same rows.
--
-- The record is also the only way back. The guard on the deletable tables lets a deletion be taken back if the very same
-- transaction records the restoration of the operation that deleted the row:
--
--   with restored as (
--     update contact set deleted_at = null, deleted_by = null where deleted_by = '<operation id>' and id = any('<ids>')
--     returning id
--   )
--   insert into restoration (id, operation_id, ..., restored_rows) select ..., count(*) from restored;
--
-- A setting of the session, which any role may change, opens nothing. Products never come back (their documents say so), and
-- tables without deleted_by, which other services delete from, have no way back at all.

create table restoration (
  id uuid primary key,
  operation_id uuid not null,
  requester_id uuid not null,
  customer_id uuid not null,
  resource text not null,
  restored_ids uuid[] not null,
  restored_rows integer not null,
  restored_by text not null default session_user,
  restored_at timestamptz not null default now(),
  transaction_id xid8 not null default pg_current_xact_id(),

  constraint restoration_operation_id_key unique (operation_id),
  constraint restoration_resource_can_come_back check (resource in ('contact', 'address', 'external-params', 'zone')),
  constraint restoration_gives_something_back check (restored_rows > 0),

  -- All or nothing, as for operations: one that gave back fewer rows than were deleted cannot be committed.
  constraint restoration_is_all_or_nothing check (restored_rows = cardinality(restored_ids))
);

comment on table restoration is 'A recorded restore: an operation whose rows were all put back.';
comment on column restoration.id is 'The restore''s own id. It is no requestId.';
comment on column restoration.operation_id is 'The operation that was undone. No foreign key: operations are purged by their own age.';
comment on column restoration.requester_id is 'The customer for whom the rows had been deleted.';
comment on column restoration.customer_id is 'The customer whose rows they are.';
comment on column restoration.resource is 'What was put back: the word in the URL.';
comment on column restoration.restored_ids is 'The ids that were put back, each once, in ascending order.';
comment on column restoration.restored_rows is 'All of restored_ids.';
comment on column restoration.restored_by is 'The role that did it.';
comment on column restoration.restored_at is 'When its transaction began.';
comment on column restoration.transaction_id is 'The transaction that did it: the guard opens in no other.';

-- The table is named by where it is, because the writer's search_path may be any.
create or replace function deleted_once() returns trigger
language plpgsql as $$
declare
  restored boolean := false;
begin
  if to_jsonb(old) ? 'deleted_by' and new.deleted_at is null and tg_table_name <> 'product' then
    execute format(
      'select exists (
         select
         from %I.restoration
         where restoration.operation_id = $1
           and restoration.transaction_id = pg_current_xact_id()
           and $2 = any (restoration.restored_ids)
       )',
      tg_table_schema
    ) into restored using (to_jsonb(old) ->> 'deleted_by')::uuid, old.id;
  end if;
  if restored then
    return null;
  end if;
  raise exception 'the deletion of % % is final', tg_table_name, old.id
    using errcode = 'restrict_violation',
      hint = 'Only the restore of the operation that deleted a row takes deleted_at back.';
end
$$;

comment on function deleted_once() is 'Refuses to change or take back a deletion, except to the transaction that records the restoration of its operation.';

insert into schema_version (version) values (13);
