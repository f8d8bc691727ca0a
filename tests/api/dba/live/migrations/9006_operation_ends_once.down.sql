delete from schema_version where version = 9006;

create or replace function operation_ends_once() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception 'operation % has ended', old.id using errcode = 'restrict_violation';
end
$$;
