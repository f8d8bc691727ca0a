-- restore_external_params: puts back what an operation deleted, and records that. The record is what lets the deletions be taken back,
-- and its own check holds it to all of the ids.
--
-- $1 restoration  $2 operation  $3 requester  $4 customer  $5 ids (ascending, each once)
with restored as (
  update external_params
  set deleted_at = null, deleted_by = null
  where external_params.id = any($5)
    and external_params.deleted_by = $2
  returning external_params.id
)
insert into restoration (id, operation_id, requester_id, customer_id, resource, restored_ids, restored_rows)
select $1, $2, $3, $4, 'external-params', $5, count(restored.id)
from restored
