-- verify_queue: the next rows of the queue, each with its disagreement, or null. The operation
-- itself is compared with its row by verify_operations.
--
-- $1 the last id of the page before  $2 how many
select
  operation_queue.operation_id as "id!",
  case when operation.id is null then 'queued without an operation' end as disagreement
from operation_queue
left join operation on operation.id = operation_queue.operation_id
where operation_queue.operation_id > $1
order by operation_queue.operation_id
limit $2
