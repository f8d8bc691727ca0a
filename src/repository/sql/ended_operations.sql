-- ended_operations: the given operations that are no longer open.
--
-- $1 operations
select operation.id
from operation
where operation.id = any($1)
  and operation.status <> 'OPEN'
