-- record_failure: records a call that deleted nothing. Does nothing if the id or the key is taken.
--
-- $1 operation  $2 requester  $3 customer  $4 resource  $5 ids (ascending, each once)  $6 status
-- $7 code  $8 the ids that the first failing rule refused  $9 idempotency key or null
-- $10 the ids that any rule refused, as JSON, or null  $11 actor or null
insert into operation (
  id, requester_id, customer_id, resource, target_ids, status, error_code, failed_ids, idempotency_key, failures,
  actor, completed_at
)
values ($1, $2, $3, $4::text::resource, $5, $6, $7, $8, $9, $10::text::jsonb, $11, clock_timestamp())
on conflict do nothing
