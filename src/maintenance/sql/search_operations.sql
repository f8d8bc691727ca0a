-- search_operations: the operations between two ids that match, the newest first.
--
-- $1 the first id  $2 the id after the last  $3 requester, or null  $4 customer, or null
-- $5 status, or null
select
  operation.id,
  operation.requester_id,
  operation.customer_id,
  operation.resource::text as "resource!",
  operation.status,
  operation.error_code,
  cardinality(operation.target_ids) as "ids!",
  operation.created_at,
  operation.completed_at,
  coalesce(operation_queue.attempts, operation.attempts) as "attempts!"
from operation
left join operation_queue on operation_queue.operation_id = operation.id
where operation.id >= $1
  and operation.id < $2
  and ($3::uuid is null or operation.requester_id = $3)
  and ($4::uuid is null or operation.customer_id = $4)
  and ($5::text is null or operation.status = $5)
order by operation.id desc
