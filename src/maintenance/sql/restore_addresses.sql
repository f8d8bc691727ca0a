-- restore_addresses: restores the rows that an operation deleted. The transaction has recorded the restoration, and
-- cannot be committed unless this restores all of its rows.
--
-- $1 operation  $2 ids (ascending, each once)
update address
set deleted_at = null, deleted_by = null
where address.id = any($2)
  and address.deleted_by = $1
