-- find_operation: the requester's operation with an id. Callers poll it while an operation is open,
-- so it does not read the ids, which may be many, unless their number is asked for.
--
-- $1 requester  $2 operation  $3 whether to read more than the status  $4 whether to count the ids
select
  operation.id,
  operation.actor,
  operation.customer_id,
  operation.resource::text as "resource!",
  operation.status,
  operation.error_code,
  case when $3 then operation.failed_ids[1:1000] else '{}' end as "failed_ids!",
  case when $3 then operation.failures::text end as failures,
  operation.deleted_rows,
  -- An operation that has ended has left the queue, with the number of its attempts.
  case
    when $3 then coalesce(
      (select operation_queue.attempts from operation_queue where operation_queue.operation_id = operation.id),
      operation.attempts
    )
    else 0
  end as "attempts!",
  case
    when $3 then (
      select restoration.restored_at
      from restoration
      where restoration.operation_id = operation.id
    )
  end as restored_at,
  case when $4 then cardinality(operation.target_ids) else 0 end as "target_count!",
  operation.created_at,
  operation.completed_at
from operation
where operation.id = $2
  and operation.requester_id = $1
