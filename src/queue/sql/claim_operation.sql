-- claim_operation: leases the operation with the lowest rank to this attempt.
--
-- $1 lease  $2 seconds of the lease  $3 resources that this build knows
with
  -- A row that another worker has locked is passed over.
  next as materialized (
    select operation_queue.operation_id
    from operation_queue
    where operation_queue.free_at <= now()
      -- Always true, and the condition of the index.
      and operation_queue.rank >= 0
      -- One look-up for each row. As a join, it could be planned as a scan of all operations.
      and (select operation.resource::text from operation where operation.id = operation_queue.operation_id) = any($3)
    order by operation_queue.rank, operation_queue.operation_id
    limit 1
    for update skip locked
  ),
  leased as (
    update operation_queue
    set lease_id = $1, free_at = now() + make_interval(secs => $2), attempts = operation_queue.attempts + 1
    from next
    where operation_queue.operation_id = next.operation_id
    returning operation_queue.operation_id, operation_queue.attempts, now() - operation_queue.created_at as waited
  )
select
  operation.id,
  operation.requester_id,
  operation.customer_id,
  operation.resource::text as "resource!",
  operation.target_ids,
  leased.attempts as "attempts!",
  (extract(epoch from leased.waited) * 1000)::bigint as "waited_ms!"
from leased
join operation on operation.id = leased.operation_id
