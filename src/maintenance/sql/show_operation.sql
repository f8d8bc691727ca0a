-- show_operation: an operation without its idempotency key.
--
-- $1 operation
select
  operation.id,
  operation.requester_id,
  operation.actor,
  operation.customer_id,
  operation.resource::text as "resource!",
  operation.status,
  operation.error_code,
  operation.target_ids,
  operation.failed_ids,
  operation.failures::text as failures,
  operation.deleted_rows,
  operation.created_at,
  operation.completed_at,
  coalesce(operation_queue.attempts, operation.attempts) as "attempts!",
  operation_queue.free_at as "free_at?",
  restoration.restored_at as "restored_at?"
from operation
left join operation_queue on operation_queue.operation_id = operation.id
left join restoration on restoration.operation_id = operation.id
where operation.id = $1
