-- find_deletion: the operation whose rows are to be restored or erased.
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
