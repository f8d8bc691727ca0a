-- find_deletion: the operation that is to be undone.
--
-- $1 operation
select
  operation.requester_id,
  operation.customer_id,
  operation.resource::text as "resource!",
  operation.target_ids,
  operation.status,
  operation.created_at
from operation
where operation.id = $1
