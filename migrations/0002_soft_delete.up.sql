-- A row is live while deleted_at is null, and it is deleted once.
--
-- Nothing in PostgreSQL stops an update from moving deleted_at, or from taking it back. The guard below does, for every
-- writer. It hangs on each table as an "after update ... when" trigger: the condition is evaluated inside the executor, so
-- an ordinary soft delete never calls the function, and an after trigger, unlike a before trigger, adds no lock of its own.
--
-- The one way back is a restore that names the operation it undoes:
--
--   set local customer_deletion.restoring = '<operation id>';
--   update contact set deleted_at = null, deleted_by = null where deleted_by = '<operation id>';
--
-- It puts back what that operation deleted and nothing else. Products never come back (their documents say so), and tables
-- without deleted_by, which other services delete from, have no way back at all.

create function deleted_once() returns trigger
language plpgsql as $$
begin
  if to_jsonb(old) ? 'deleted_by'
    and new.deleted_at is null
    and tg_table_name <> 'product'
    and to_jsonb(old) ->> 'deleted_by' = current_setting('customer_deletion.restoring', true)
  then
    return null;
  end if;
  raise exception 'the deletion of % % is final', tg_table_name, old.id
    using errcode = 'restrict_violation',
      hint = 'Only the restore of the operation that deleted a row takes deleted_at back.';
end
$$;

comment on function deleted_once() is 'Refuses to change or take back a deletion, except to the restore that names the operation.';

insert into schema_version (version) values (2);
