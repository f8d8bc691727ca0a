-- end_operation: ends an open operation and removes it from the queue.
--
-- $1 operation  $2 customer  $3 status  $4 code or null  $5 ids that the first failing rule refused
-- $6 number of deleted rows  $7 ids that any rule refused, as JSON, or null  $8 number of attempts
with
  ended as (
    update operation
    set
      status = $3,
      error_code = $4,
      failed_ids = $5,
      failures = $7::text::jsonb,
      deleted_rows = $6,
      attempts = $8,
      -- A call that ended in an internal error may be sent again.
      idempotency_key = case when $3 <> 'INTERNAL_ERROR' then operation.idempotency_key end,
      completed_at = clock_timestamp()
    where operation.id = $1
      and operation.customer_id = $2
      and operation.status = 'OPEN'
    returning operation.id
  ),
  dequeued as (
    delete from operation_queue
    where operation_queue.operation_id = $1
    returning operation_queue.operation_id
  )
select exists (select from ended) and exists (select from dequeued) as "ended!"
