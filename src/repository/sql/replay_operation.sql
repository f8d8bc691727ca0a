-- replay_operation: how the operation ended that stands under a call's id, or else under its idempotency key, and whether it
-- was the same call.
--
-- $1 operation  $2 requester  $3 customer  $4 resource  $5 ids (ascending, each once)  $6 idempotency key or null
select
  operation.id,
  operation.status,
  operation.error_code,
  operation.resource = $4::text::resource
    and operation.customer_id = $3
    and operation.target_ids = $5 as "same_call!"
from operation
where operation.requester_id = $2
  and (operation.id = $1 or operation.idempotency_key = $6)
order by operation.id = $1 desc
limit 1
