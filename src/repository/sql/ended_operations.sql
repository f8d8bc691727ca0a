-- ended_operations: tells which of these operations are not open any more.
--
-- $1 operations
select operation.id
from operation
where operation.id = any($1)
  and operation.status <> 'OPEN'
