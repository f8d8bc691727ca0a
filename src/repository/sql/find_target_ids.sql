-- find_target_ids: the ids of the requester's operation with an id.
--
-- $1 requester  $2 operation
select operation.target_ids
from operation
where operation.id = $2
  and operation.requester_id = $1
