-- find_restoration: when an operation was undone, and by which role.
--
-- $1 operation
select
  restoration.restored_at,
  restoration.restored_by
from restoration
where restoration.operation_id = $1
