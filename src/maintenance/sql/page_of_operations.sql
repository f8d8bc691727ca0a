-- page_of_operations: the next operations in the order of their ids, which is the order in which they were made.
--
-- $1 the last id of the page before  $2 where to stop  $3 how many
select
  operation.id,
  operation.resource,
  operation.target_ids,
  operation.status,
  operation.created_at
from operation
where operation.id > $1
  and operation.id < $2
order by operation.id
limit $3
