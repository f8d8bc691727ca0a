-- erase_operations: erases operations for good.
--
-- $1 operations  $2 made before
delete from operation
where operation.id = any($1)
  and operation.status <> 'OPEN'
  and operation.created_at < $2
