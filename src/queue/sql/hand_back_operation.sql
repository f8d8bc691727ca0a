-- hand_back_operation: ends the lease of an attempt that was interrupted from outside. The attempt
-- does not count.
--
-- $1 operation  $2 lease
update operation_queue
set lease_id = null, free_at = now(), attempts = operation_queue.attempts - 1
where operation_queue.operation_id = $1
  and operation_queue.lease_id = $2
