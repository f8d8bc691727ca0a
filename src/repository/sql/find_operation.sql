-- find_operation: the requester's operation with an id. Callers poll it while an operation is open, so it does not read the
-- ids, which may be many.
--
-- $1 requester  $2 operation  $3 whether the ids that were refused are asked for
select
  operation.id,
  operation.actor,
  operation.customer_id,
  operation.resource::text as "resource!",
  operation.status,
  operation.error_code,
  case when $3 then operation.failed_ids[1:1000] else '{}' end as "failed_ids!",
  case when $3 then operation.failures::text end as failures,
  operation.created_at,
  operation.completed_at
from operation
where operation.id = $2
  and operation.requester_id = $1
