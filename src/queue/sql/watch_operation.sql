-- watch_operation: whether a transaction locks an operation of the queue.
--
-- $1 operation
with
  free as materialized (
    select operation_queue.operation_id
    from operation_queue
    where operation_queue.operation_id = $1
    for key share skip locked
  )
select
  exists (select from operation_queue where operation_queue.operation_id = $1)
  and not exists (select from free) as "locked!"
