-- twin_of_operation: an operation that asks for the same as another one and waits, or succeeded after it.
--
-- $1 the other operation
select
  twin.id as "id!",
  twin.status as "status!"
from operation
join operation as twin
  on twin.requester_id = operation.requester_id
  and twin.status = 'OPEN'
  and twin.resource = operation.resource
where operation.id = $1
  and twin.customer_id = operation.customer_id
  and twin.target_ids = operation.target_ids
union all
select
  twin.id,
  twin.status
from operation
join operation as twin
  on twin.requester_id = operation.requester_id
  and twin.status = 'SUCCESS'
  and twin.resource = operation.resource
  -- Ids are in the order of time.
  and twin.id > operation.id
where operation.id = $1
  and twin.customer_id = operation.customer_id
  and twin.target_ids = operation.target_ids
order by 1
limit 1
