create or replace function deleted_once() returns trigger
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

drop table restoration;
delete from schema_version where version = 13;
