-- replay_operation: the operation with a call's id, or else with its idempotency key, and whether
-- it was the same call.
--
-- $1 operation  $2 requester  $3 customer  $4 resource  $5 ids (ascending, each once)
-- $6 idempotency key or null
with
  -- Two look-ups: "or" would need a bitmap scan, which the session settings switch off.
  by_id as materialized (
    select operation.id
    from operation
    where operation.id = $1
      and operation.requester_id = $2
  ),
  by_key as materialized (
    select operation.id
    from operation
    where operation.requester_id = $2
      and operation.idempotency_key = $6
      and not exists (select from by_id)
  )
select
  operation.id,
  operation.status,
  operation.error_code,
  operation.failures::text,
  operation.resource = $4::text::resource
    and operation.customer_id = $3
    and operation.target_ids = $5 as "same_call!"
from operation
where operation.id = coalesce((select by_id.id from by_id), (select by_key.id from by_key))
