-- cancel_operation: ends a queued operation as cancelled, or changes nothing.
--
-- $1 requester  $2 operation
--
-- The transaction that runs an operation first locks its row in the queue, and deletes it at its
-- commit. The transaction that locks the row first wins. This statement skips a locked row.
with
  held as materialized (
    select operation_queue.operation_id, operation_queue.attempts
    from operation_queue
    where operation_queue.operation_id = $2
      -- "is true" keeps this a filter: as an index condition it could read everything that the
      -- requester has waiting.
      and (operation_queue.requester_id = $1) is true
    for update skip locked
  ),
  ended as (
    update operation
    set status = 'FAILURE', error_code = 'CANCELLED', attempts = held.attempts, completed_at = clock_timestamp()
    from held
    where operation.id = $2
      and operation.status = 'OPEN'
    returning operation.id
  ),
  dequeued as (
    delete from operation_queue
    where operation_queue.operation_id = $2
      and exists (select from ended)
    returning operation_queue.operation_id
  )
select exists (select from dequeued) as "cancelled!"
