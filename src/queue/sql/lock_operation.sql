-- lock_operation: locks a leased operation until this transaction ends, and gives the transaction
-- more time than a call has.
--
-- $1 operation  $2 lease  $3 milliseconds that a statement may take
-- $4 milliseconds that it may wait for a lock
--
-- A locked row is not claimed, so the lease may expire from here on. If no row is returned, the
-- lease had expired, and another attempt has or had the operation. Or the operation was cancelled.
select
  set_config('statement_timeout', $3, true) as statement_timeout,
  set_config('lock_timeout', $4, true) as lock_timeout,
  -- If the client of a statement is gone, PostgreSQL ends the statement within this time, and the
  -- row is free again.
  set_config('client_connection_check_interval', '1s', true) as client_connection_check_interval
from operation_queue
where operation_queue.operation_id = $1
  and operation_queue.lease_id = $2
for update
