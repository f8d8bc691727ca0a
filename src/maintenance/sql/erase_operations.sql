-- erase_operations: erases operations, and the records of the erasure of their rows. Operations
-- about a customer under legal hold, and those that it sent, stay.
--
-- $1 operations  $2 made before
with
  erased as (
    delete from operation
    where operation.id = any($1)
      and operation.status <> 'OPEN'
      and operation.created_at < $2
      and not exists (
        select
        from legal_hold
        where legal_hold.customer_id in (operation.customer_id, operation.requester_id)
          and legal_hold.released_at is null
      )
    returning operation.id
  ),
  forgotten as (
    delete from erasure
    where erasure.operation_id = any(array(select erased.id from erased))
  )
select erased.id as "id!"
from erased
