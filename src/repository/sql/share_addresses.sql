-- share_addresses: deletes addresses of sub-customers for several calls and records their operations; each call has all of its own deleted or none.
--
-- $1 operations  $2 requesters  $3 customers, one each a call  $4 addresses (each once in all)  $5 the operation of each of them
--
-- It waits for nobody. What another transaction holds is passed over, and a call that does not get all that it needs is left
-- as it was. The result names the calls that are done.
with recursive
  -- A lock that cannot be passed over ends the statement soon: of a customer whose name and then parent one open transaction
  -- has changed, for example.
  patience as materialized (
    select set_config('lock_timeout', '50ms', true)
  ),
  call as materialized (
    select sent.operation_id, sent.requester_id, sent.customer_id
    from unnest($1::uuid[], $2::uuid[], $3::uuid[]) as sent (operation_id, requester_id, customer_id)
    where (select count(*) from patience) = 1
  ),
  -- From each customer up, and no further than a sub-customer may be away. Each step is a look-up of its own ("limit"), which
  -- no plan can turn into a reading of the whole table.
  path (operation_id, requester_id, id, parent_id, depth) as (
    select call.operation_id, call.requester_id, step.id, step.parent_id, 0
    from call
    cross join lateral (
      select customer.id, customer.parent_id
      from customer
      where customer.id = call.customer_id
        and customer.deleted_at is null
      limit 1
    ) as step
    union all
    select path.operation_id, path.requester_id, step.id, step.parent_id, path.depth + 1
    from path
    cross join lateral (
      select customer.id, customer.parent_id
      from customer
      where customer.id = path.parent_id
        and customer.deleted_at is null
      limit 1
    ) as step
    where path.depth < 1
      and path.parent_id = path.requester_id
  ),
  -- The customers of the paths, held as they are until this transaction ends. A row that has changed since the path was walked
  -- no longer matches it, and falls out.
  held as materialized (
    select path.operation_id
    from path
    cross join lateral (
      select
      from customer
      where customer.id = path.id
        and customer.parent_id is not distinct from path.parent_id
        and customer.deleted_at is null
      for key share skip locked
    ) as customer
  ),
  -- The calls whose path leads to the requester, and is held from end to end.
  scope as materialized (
    select call.operation_id, call.requester_id, call.customer_id
    from call
    where (select count(*) from held where held.operation_id = call.operation_id) = 2
  ),
  -- Each id is looked up and locked by itself, after the customers of its call are held.
  target as materialized (
    select scope.operation_id, scope.requester_id, scope.customer_id, wanted.id, locked.id is not null as is_locked
    from scope
    join unnest($4::uuid[], $5::uuid[]) as wanted (id, operation_id) on wanted.operation_id = scope.operation_id
    left join lateral (
      select address.id
      from address
      where address.id = wanted.id
        and (address.customer_id = scope.customer_id) is true
        and address.deleted_at is null
      for no key update skip locked
    ) as locked on true
  ),
  -- The calls that got every row.
  complete as materialized (
    select target.operation_id, target.requester_id, target.customer_id, array_agg(target.id order by target.id) as ids
    from target
    group by target.operation_id, target.requester_id, target.customer_id
    having bool_and(target.is_locked)
  ),
  deleted as (
    update address
    set deleted_at = now(), deleted_by = ($5::uuid[])[array_position($4::uuid[], address.id)]
    where address.id = any (array(select unnest(complete.ids) from complete))
    returning ($5::uuid[])[array_position($4::uuid[], address.id)] as operation_id
  ),
  -- The table's own check holds deleted_rows to the number of ids: what is recorded here is all of them, or an error.
  recorded as (
    insert into operation (id, requester_id, customer_id, resource, target_ids, status, deleted_rows, completed_at)
    select
      complete.operation_id, complete.requester_id, complete.customer_id, 'address', complete.ids, 'SUCCESS',
      (select count(*) from deleted where deleted.operation_id = complete.operation_id), clock_timestamp()
    from complete
    returning operation.id
  )
select recorded.id as "id!"
from recorded
