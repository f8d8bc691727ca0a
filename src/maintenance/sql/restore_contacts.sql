-- restore_contacts: puts back what an operation deleted, and records that. The record is what lets the deletions be taken back,
-- and its own check holds it to all of the ids.
--
-- $1 restoration  $2 operation  $3 requester  $4 customer  $5 ids (ascending, each once)
with restored as (
  update contact
  set deleted_at = null, deleted_by = null
  where contact.id = any($5)
    and contact.deleted_by = $2
  returning contact.id
)
insert into restoration (id, operation_id, requester_id, customer_id, resource, restored_ids, restored_rows)
select $1, $2, $3, $4, 'contact', $5, count(restored.id)
from restored
