-- Raises an error at a step that a test chooses, and counts how often the step was reached. The name of a step consists of the
-- statement, which names itself in its first line, of the action, and of the table: `delete_contacts: before update of
-- contact`.

create table fault (
  step text not null,
  -- Null means the first row that reaches the step.
  row_id uuid,
  sqlstate text not null,
  -- The number of times that the step fails before it succeeds.
  times bigint not null,
  -- The delay before the error, in seconds.
  delay double precision not null,
  -- If not null, the step fails in that many attempts at this operation, however often an attempt reaches it.
  operation_id uuid
);

-- A sequence, because a rollback does not undo its count.
create sequence reached;

-- The number of attempts at an operation, even after it has left the queue.
create table attempted (
  operation_id uuid primary key,
  attempts integer not null
);

create function count_attempts() returns trigger
language plpgsql security definer as $$
begin
  insert into attempted values (new.operation_id, new.attempts)
  on conflict (operation_id) do update set attempts = new.attempts;
  return null;
end
$$;

create trigger count_attempts after update of attempts on operation_queue for each row execute function count_attempts();

create function attempts_at(operation uuid) returns bigint
language sql security definer as 'select attempts from attempted where operation_id = operation';

create function reach(doing text, of_table text, of_row uuid) returns boolean
language plpgsql as $$
declare
  -- At the commit there is no statement any more.
  statement text := coalesce(substring(current_query() from '^-- ([a-z_]+):'), 'commit');
  injected fault;
  failures bigint;
begin
  select fault.*
  into injected
  from fault
  where fault.step = format('%s: %s %s', statement, doing, of_table)
    and (fault.row_id is null or fault.row_id = of_row);
  if found then
    perform pg_sleep(injected.delay);
    failures := coalesce(attempts_at(injected.operation_id), nextval('reached'));
    if failures <= injected.times then
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

create function reach_in_queue() returns trigger
language plpgsql as $$
begin
  perform reach(lower(tg_when) || ' ' || lower(tg_op) || ' of', tg_table_name, coalesce(new.operation_id, old.operation_id));
  return coalesce(new, old);
end
$$;

-- A select fires no trigger, so policies report each row that it reads. They run with the rights of the service, which must
-- therefore be able to read the faults.
grant select on fault to customer_deletion_service;
grant usage on sequence reached to customer_deletion_service;

-- The tables of the resources.
create view resource_table as
select columns.table_name::text
from information_schema.columns
join pg_tables on pg_tables.schemaname = columns.table_schema and pg_tables.tablename = columns.table_name
where columns.table_schema = current_schema and columns.column_name = 'deleted_by';

do $$
declare
  of_table text;
begin
  for of_table in select table_name from resource_table union all values ('customer'), ('operation') loop
    execute format('alter table %I enable row level security', of_table);
    execute format('create policy reads on %1$I using (reach(''reads'', %1$L, id)) with check (true)', of_table);
  end loop;
  for of_table in select table_name from resource_table loop
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

create trigger before_update before update on operation for each row execute function reach_by_trigger();
create trigger after_update after update on operation for each row execute function reach_by_trigger();
create constraint trigger at_the_commit_of_an_update after update on operation
  deferrable initially deferred for each row execute function reach_by_trigger();

alter table operation_queue enable row level security;
create policy reads on operation_queue using (reach('reads', 'operation_queue', operation_id)) with check (true);
create trigger before_any before insert or update or delete on operation_queue
  for each row execute function reach_in_queue();
create trigger after_any after insert or update or delete on operation_queue
  for each row execute function reach_in_queue();
create constraint trigger at_the_commit after insert or update or delete on operation_queue
  deferrable initially deferred for each row execute function reach_in_queue();

-- The end of each operation, whoever ended it.
create table ends (operation_id uuid, status text);

create function note_end() returns trigger
language plpgsql security definer as $$
begin
  insert into ends values (new.id, new.status);
  return null;
end
$$;

create trigger note_end after update of status on operation for each row execute function note_end();
