-- Makes a new session as warm as an old one. A process pays a page fault for each page of shared memory that it touches for the
-- first time, and an old session has paid for them.

-- Touches some pages of the tables and indexes, counted over all of them. It reads them as they are: a scan would prune them.
-- Returns the number of touched pages.
create function bench.touch(first_page bigint, pages bigint) returns bigint
language sql
as $$
  select count(octet_length(get_raw_page(relation.name, 'main', page)))
  from (
    select name, pages, sum(pages) over (order by name)::bigint - pages as first_page
    from (
      select oid::regclass::text as name, pg_relation_size(oid) / current_setting('block_size')::bigint as pages
      from pg_class
      where relkind in ('r', 'i')
        and relnamespace = 'public'::regnamespace
    ) as relation
  ) as relation
  cross join lateral generate_series(
    greatest(touch.first_page - relation.first_page, 0),
    least(touch.first_page + touch.pages - relation.first_page, relation.pages) - 1
  ) as page
$$;

-- The number of pages that each session has touched, once it has deleted something.
create unlogged table bench.session (
  process integer primary key,
  touched bigint not null default 0,
  is_warm boolean not null default false
);

-- A deletion touches the next 20,000 pages, and the next deletion of the same session continues.
create function bench.touch_more() returns trigger
language plpgsql
as $$
declare
  step constant bigint := 20000;
  current bench.session;
begin
  insert into bench.session (process) values (pg_backend_pid()) on conflict do nothing;
  select * into current from bench.session where process = pg_backend_pid();
  if not current.is_warm then
    update bench.session
    set touched = touched + step, is_warm = bench.touch(current.touched, step) = 0
    where process = current.process;
  end if;
  return null;
end
$$;
