-- duplicate_of_operation: an operation that asks for the same deletion as another one, and that is
-- queued or succeeded after it.
--
-- $1 the other operation
select
  duplicate.id,
  duplicate.status
from operation
join operation as duplicate
  on duplicate.requester_id = operation.requester_id
  and duplicate.customer_id = operation.customer_id
  and duplicate.resource = operation.resource
  and duplicate.target_ids = operation.target_ids
where operation.id = $1
  and duplicate.status in ('OPEN', 'SUCCESS')
  -- Always true, and the condition of the index.
  and duplicate.created_at <= 'infinity'
  -- Ids are in the order of time.
  and (duplicate.status = 'OPEN' or duplicate.id > operation.id)
order by duplicate.id
limit 1
