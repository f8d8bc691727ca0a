-- count_deleted_rows: the seconds after which a call would not exceed the rows that its requester
-- may delete in an hour. Null if it does not exceed them now.
--
-- $1 requester  $2 rows of the call, at most the limit  $3 the limit
--
-- A success counts for one hour after it was recorded, or was accepted for the queue. An open
-- operation counts whatever its age. The limit bounds the operations that are read too, because each
-- has at least one row.
with
  -- The index keeps the operations of one status and resource together, oldest first. An open
  -- operation may be older than an hour.
  run as (
    select status.name as status, resource.name as resource, status.since
    from (
      values
        ('OPEN', '-infinity'::timestamptz),
        ('SUCCESS', now() - interval '1 hour')
    ) as status (name, since)
    cross join unnest(enum_range(null::resource)) as resource (name)
  ),
  counted as materialized (
    select of_run.created_at, of_run.rows
    from run
    cross join lateral (
      select
        operation.created_at,
        case operation.status when 'OPEN' then cardinality(operation.target_ids) else operation.deleted_rows end as rows
      from operation
      where operation.requester_id = $1
        and operation.status = run.status
        and operation.resource = run.resource
        -- Always true, and the condition of the index.
        and operation.created_at >= '-infinity'
        and operation.created_at > run.since
      order by operation.created_at desc, operation.id desc
      limit $3
    ) as of_run
  ),
  total as materialized (
    select coalesce(sum(counted.rows), 0) + $2::bigint as rows
    from counted
  )
-- The call fits once enough of the oldest rows are an hour old. Null if it fits now.
select extract(epoch from min(freed.created_at) + interval '1 hour' - clock_timestamp())::float8 as seconds
from (
  select counted.created_at, sum(counted.rows) over (order by counted.created_at) as rows
  from counted
  where (select total.rows > $3 from total)
) as freed
where freed.rows >= (select total.rows - $3 from total)
