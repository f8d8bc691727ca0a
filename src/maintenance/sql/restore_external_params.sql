-- restore_external_params: restores the rows that an operation deleted. The transaction has recorded the restoration, and
-- cannot be committed unless this restores all of its rows.
--
-- $1 operation  $2 ids (ascending, each once)
update external_params
set deleted_at = null, deleted_by = null
where external_params.id = any($2)
  and external_params.deleted_by = $1
