-- restore_rows: restores the rows that an operation deleted. The database does it when the
-- restoration is recorded.
--
-- $1 restoration  $2 operation
insert into restoration (id, operation_id, requester_id, customer_id, resource, restored_ids)
select $1, operation.id, operation.requester_id, operation.customer_id, operation.resource, operation.target_ids
from operation
where operation.id = $2
