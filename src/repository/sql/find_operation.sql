-- find_operation: the requester's operation with an id, or under an idempotency key.
--
-- $1 requester  $2 operation or null  $3 idempotency key or null
select
  operation.id,
  operation.customer_id,
  operation.resource,
  operation.target_ids,
  operation.status,
  operation.error_code,
  operation.failed_ids,
  operation.created_at,
  operation.completed_at
from operation
where operation.requester_id = $1
  and (operation.id = $2 or operation.idempotency_key = $3)
order by operation.id = $2 desc
limit 1
