-- waiting_twin: an operation that waits and asks for the same as another operation.
--
-- $1 the other operation
select twin.id
from operation
join operation_queue on operation_queue.requester_id = operation.requester_id
join operation as twin on twin.id = operation_queue.operation_id
where operation.id = $1
  and twin.customer_id = operation.customer_id
  and twin.resource = operation.resource
  and twin.target_ids = operation.target_ids
order by twin.id
limit 1
