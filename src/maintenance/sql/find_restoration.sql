-- find_restoration: the time at which an operation was restored, and the role that did it.
--
-- $1 operation
select
  restoration.restored_at,
  restoration.restored_by
from restoration
where restoration.operation_id = $1
