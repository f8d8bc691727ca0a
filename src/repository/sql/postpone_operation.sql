-- postpone_operation: ends the lease of an attempt that failed, and lets the operation wait before the next.
--
-- $1 operation  $2 attempt  $3 seconds
update operation_queue
set lease_id = null, free_at = now() + make_interval(secs => $3)
where operation_queue.operation_id = $1
  and operation_queue.lease_id = $2
