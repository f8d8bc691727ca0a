-- duplicate_of_operation: an operation that asks for the same deletion as another one, and that is
-- queued or succeeded after it.
--
-- $1 the other operation
select
  duplicate.id as "id!",
  duplicate.status as "status!"
from operation
join operation as duplicate
  on duplicate.requester_id = operation.requester_id
  and duplicate.status = 'OPEN'
  and duplicate.resource = operation.resource
where operation.id = $1
  and duplicate.customer_id = operation.customer_id
  and duplicate.target_ids = operation.target_ids
union all
select
  duplicate.id,
  duplicate.status
from operation
join operation as duplicate
  on duplicate.requester_id = operation.requester_id
  and duplicate.status = 'SUCCESS'
  and duplicate.resource = operation.resource
  -- Ids are in the order of time.
  and duplicate.id > operation.id
where operation.id = $1
  and duplicate.customer_id = operation.customer_id
  and duplicate.target_ids = operation.target_ids
order by 1
limit 1
