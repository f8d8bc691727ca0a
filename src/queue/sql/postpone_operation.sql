-- postpone_operation: ends the lease of an attempt that failed, and lets the operation wait before the next.
--
-- $1 operation  $2 attempt  $3 seconds
--
-- An attempt costs a turn: it goes behind the requester's other operations, so that it does not hold up those of others again
-- and again.
update operation_queue
set
  lease_id = null,
  free_at = now() + make_interval(secs => $3),
  turn = 1 + (
    select max(own.turn)
    from operation_queue as own
    where own.requester_id = operation_queue.requester_id
  )
where operation_queue.operation_id = $1
  and operation_queue.lease_id = $2
