delete from schema_version where version = 9006;

create or replace function operation_ends_once() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  -- A purge erases the actor, and changes nothing else.
  if old.actor is not null then
    old.actor := null;
    if new is not distinct from old then
      return new;
    end if;
  end if;
  raise exception 'operation % has ended', old.id using errcode = 'restrict_violation';
end
$$;
