-- erase_operations: erases operations for good, and the records of the erasure of their rows.
--
-- $1 operations  $2 made before
with
  erased as (
    delete from operation
    where operation.id = any($1)
      and operation.status <> 'OPEN'
      and operation.created_at < $2
    returning operation.id
  ),
  forgotten as (
    delete from erasure
    where erasure.operation_id = any(array(select erased.id from erased))
  )
select count(*) as "erased!"
from erased
