-- restore_contacts: restores the rows that an operation deleted. The transaction has recorded the restoration, and
-- cannot be committed unless this restores all of its rows.
--
-- $1 operation  $2 ids (ascending, each once)
update contact
set deleted_at = null, deleted_by = null
where contact.id = any($2)
  and contact.deleted_by = $1
