-- share_addresses: deletes addresses of sub-customers for several calls and records
-- their operations: of each call all or none.
--
-- $1 operations  $2 requesters  $3 customers
-- $4 addresses of all calls (each once, ascending within a call)
-- $5, $6 the first and last position of the ids of each call  $7 actors, null or not
--
-- It waits for no row lock. A row that another transaction has locked is skipped, and a call that
-- cannot lock all its rows is left unchanged. The result has the recorded operations.
with recursive
  -- "skip locked" cannot skip every lock. For example, an open transaction may have changed the
  -- name of a customer and then its parent. The timeout ends such a wait.
  patience as materialized (
    select set_config('lock_timeout', '50ms', true)
  ),
  -- Walks from each customer up to the requester, and locks each customer until the transaction
  -- ends. The walk reads the locked version of each row, so a customer that was just moved or
  -- deleted is not found.
  path (operation_id, requester_id, customer_id, ids, id, parent_id, depth) as (
    select
      call.operation_id, call.requester_id, call.customer_id, ($4::uuid[])[call.first:call.last],
      null::uuid, call.customer_id, -1
    from unnest($1::uuid[], $2::uuid[], $3::uuid[], $5::integer[], $6::integer[])
      as call (operation_id, requester_id, customer_id, first, last)
    where exists (select from patience)
    union all
    select
      path.operation_id, path.requester_id, path.customer_id, path.ids,
      step.id, step.parent_id, path.depth + 1
    from path
    cross join lateral (
      select customer.id, customer.parent_id
      from customer
      where customer.id = path.parent_id
        and (customer.id = path.requester_id or customer.parent_id = path.requester_id) is true
        and customer.deleted_at is null
      for key share skip locked
    ) as step
    where path.depth < 1
  ),
  -- The calls that have locked every row, after their customers. "offset 0" stops the planner from
  -- merging the sub-select, which would take the locks twice.
  complete as materialized (
    select path.operation_id, path.requester_id, path.customer_id, path.ids, locked.ctids
    from path
    cross join lateral (
      select array(
        select address.ctid
        from address
        where address.id = any (path.ids)
          and (address.customer_id = path.customer_id and address.deleted_at is null) is true
        for no key update skip locked
      ) as ctids
      offset 0
    ) as locked
    where path.depth = 1
      and path.id = path.requester_id
      and cardinality(locked.ctids) = cardinality(path.ids)
  ),
  -- The rows are found by their ctid, which no other transaction can change while they are locked.
  -- A row that was changed between the start of this statement and its lock is not found: then all
  -- the calls are rolled back, and run alone.
  deleted as (
    update address
    set deleted_at = now(), deleted_by = target.operation_id
    from (select complete.operation_id, unnest(complete.ctids) as row_ctid from complete) as target
    where address.ctid = target.row_ctid
    returning address.id
  ),
  counted as materialized (
    select (select count(*) from deleted) = (select sum(cardinality(complete.ids)) from complete) as is_whole
  ),
  -- The check of the table compares deleted_rows with the number of ids, so an operation of 0 rows
  -- is an error.
  recorded as (
    insert into operation (
      id, requester_id, customer_id, resource, target_ids, status, deleted_rows, actor, completed_at
    )
    select
      complete.operation_id, complete.requester_id, complete.customer_id, 'address', complete.ids, 'SUCCESS',
      case when counted.is_whole then cardinality(complete.ids) else 0 end,
      ($7::text[])[array_position($1::uuid[], complete.operation_id)], clock_timestamp()
    from complete
    cross join counted
    returning operation.id
  )
select recorded.id as "id!"
from recorded
