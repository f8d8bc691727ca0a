-- Raises an error where a test wants one, and counts how often that place was reached. A place is named by the statement, which
-- names itself in its first line, by what it does there, and by the table: `delete_contacts: before update of contact`.

create table fault (
  place text not null,
  -- Null for whichever row comes first.
  row_id uuid,
  sqlstate text not null,
  -- How often the place fails before it goes through.
  times bigint not null,
  -- How many seconds it takes to fail.
  delay double precision not null
);

-- What a sequence has counted, no rollback takes back.
create sequence reached;

create function reach(doing text, of_table text, of_row uuid) returns boolean
language plpgsql as $$
declare
  -- At the commit there is no statement any more.
  statement text := coalesce(substring(current_query() from '^-- ([a-z_]+):'), 'commit');
  injected fault;
begin
  select fault.*
  into injected
  from fault
  where fault.place = format('%s: %s %s', statement, doing, of_table)
    and (fault.row_id is null or fault.row_id = of_row);
  if found then
    perform pg_sleep(injected.delay);
    if nextval('reached') <= injected.times then
      raise exception 'injected' using errcode = injected.sqlstate;
    end if;
  end if;
  return true;
end
$$;

create function reach_by_trigger() returns trigger
language plpgsql as $$
begin
  perform reach(lower(tg_when) || ' ' || lower(tg_op) || ' of', tg_table_name, new.id);
  return new;
end
$$;

-- Reading has no triggers, but the rows that a role may see can be asked for. Here the service itself is to find them.
grant select on fault to customer_deletion_service;
grant usage on sequence reached to customer_deletion_service;

do $$
declare
  of_table text;
begin
  foreach of_table in array array['contact', 'address', 'external_params', 'zone', 'product', 'customer', 'operation'] loop
    execute format('alter table %I enable row level security', of_table);
    execute format('create policy reads on %1$I using (reach(''reads'', %1$L, id)) with check (true)', of_table);
  end loop;
  foreach of_table in array array['contact', 'address', 'external_params', 'zone', 'product'] loop
    execute format(
      'create trigger before_update before update on %I for each row execute function reach_by_trigger()', of_table);
    execute format(
      'create trigger after_update after update on %I for each row execute function reach_by_trigger()', of_table);
  end loop;
end
$$;

alter table schema_version enable row level security;
create policy reads on schema_version using (reach('reads', 'schema_version', null)) with check (true);

create trigger before_insert before insert on operation for each row execute function reach_by_trigger();
create trigger after_insert after insert on operation for each row execute function reach_by_trigger();
create constraint trigger at_the_commit after insert on operation
  deferrable initially deferred for each row execute function reach_by_trigger();
