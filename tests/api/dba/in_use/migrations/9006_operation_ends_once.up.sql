-- A new body for a function that triggers call. A call that is running continues with the old one.

create or replace function operation_ends_once() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if old.actor is not null then
    old.actor := null;
    if new is not distinct from old then
      return new;
    end if;
  end if;
  raise exception 'operation % has ended as %', old.id, old.status using errcode = 'restrict_violation';
end
$$;

insert into schema_version (version, oldest_build) values (9006, 12);
