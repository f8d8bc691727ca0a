-- postpone_operation: ends the lease of an attempt that failed, and lets the operation pause before
-- the next.
--
-- $1 operation  $2 lease  $3 seconds
--
-- The operation moves behind the others of its requester. So it does not delay other operations
-- again and again.
update operation_queue
set
  lease_id = null,
  free_at = now() + make_interval(secs => $3),
  rank = 1 + (
    select max(own.rank)
    from operation_queue as own
    where own.requester_id = operation_queue.requester_id
  )
where operation_queue.operation_id = $1
  and operation_queue.lease_id = $2
