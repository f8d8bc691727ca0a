-- list_operations_of_customer: list_operations for one customer. Only the customer and the
-- condition of the index differ.
--
-- $1 requester  $2 status or null for all  $3 resource or null for all  $4 size  $5 offset
-- $6 the most that are counted  $7 created at this time or later, or null
-- $8 created before this time, or at it with an id before $9; both null for all
-- $10 customer
--
-- Every limit is a parameter. Without a known value, the planner assumes a small limit and reads an
-- index in order.
with recursive
  -- The statuses that the requester's operations have, found by one look-up each. A newer build may
  -- have stored one that this build does not know. The last step finds null.
  status (name) as (
    select coalesce($2, (
      select min(operation.status)
      from operation
      where operation.requester_id = $1
        and operation.customer_id = $10
        -- Always true, and the condition of the index.
        and operation.created_at <= 'infinity'
    ))
    union all
    select (
      select min(operation.status)
      from operation
      where operation.requester_id = $1
        and operation.customer_id = $10
        and operation.status > status.name
        and operation.created_at <= 'infinity'
    )
    from status
    where status.name is not null
      and $2::text is null
  ),
  -- The index keeps the operations of one status and resource together, in the order of their times
  -- and ids.
  run as (
    select status.name as status, resource.name as resource
    from status
    cross join unnest(
      case when $3::text is null then enum_range(null::resource) else array[$3::text::resource] end
    ) as resource (name)
    where status.name is not null
  ),
  total as (
    select count(*) as operations
    from (
      select
      from run
      cross join lateral (
        select
        from operation
        where operation.status = run.status
          and operation.resource = run.resource
          and operation.requester_id = $1
          and operation.customer_id = $10
          and operation.created_at <= 'infinity'
          and operation.created_at >= coalesce($7, '-infinity'::timestamptz)
          and (operation.created_at, operation.id)
            < (coalesce($8, 'infinity'::timestamptz), coalesce($9, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
        order by operation.created_at desc, operation.id desc
        limit $6
      ) as of_run
      limit $6
    ) as counted
  ),
  page as (
    select of_run.id, of_run.created_at
    from run
    cross join lateral (
      select operation.id, operation.created_at
      from operation
      where operation.status = run.status
        and operation.resource = run.resource
        and operation.requester_id = $1
        and operation.customer_id = $10
        and operation.created_at <= 'infinity'
        and operation.created_at >= coalesce($7, '-infinity'::timestamptz)
        and (operation.created_at, operation.id)
          < (coalesce($8, 'infinity'::timestamptz), coalesce($9, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
      order by operation.created_at desc, operation.id desc
      limit $5::bigint + $4::bigint
    ) as of_run
    order by of_run.created_at desc, of_run.id desc
    limit $4
    offset $5
  )
select
  total.operations as "total!",
  listed.id as "id?",
  listed.actor,
  listed.customer_id as "customer_id?",
  listed.resource as "resource?",
  listed.status as "status?",
  listed.error_code,
  listed.created_at as "created_at?",
  listed.completed_at
from total
left join (
  page
  -- One look-up for each: a join could be done by reading all operations in the order of their ids.
  cross join lateral (
    select
      operation.id,
      operation.actor,
      operation.customer_id,
      operation.resource::text,
      operation.status,
      operation.error_code,
      operation.created_at,
      operation.completed_at
    from operation
    where operation.id = page.id
    limit 1
  ) as listed
) on true
order by listed.created_at desc, listed.id desc
