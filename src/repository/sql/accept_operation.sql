-- accept_operation: records a call as open and puts it into the queue, or changes nothing.
--
-- $1 operation  $2 requester  $3 customer  $4 resource  $5 ids (ascending, each once)  $6 idempotency key or null
-- $7 how many operations of a requester may wait
with
  waiting as materialized (
    select count(*) as operations
    from (
      select
      from operation_queue
      where operation_queue.requester_id = $2
      limit $7
    ) as own
  ),
  -- One turn after the requester's last, and no earlier than the turn that is being served: so requesters take turns, however
  -- many operations each has waiting.
  place as materialized (
    select greatest(
      (select max(operation_queue.turn) + 1 from operation_queue where operation_queue.requester_id = $2),
      -- Always true, and the condition of the index.
      (select min(operation_queue.turn) from operation_queue where operation_queue.turn >= 0),
      0
    ) as turn
  ),
  -- Nothing is recorded where the id or the key is taken already.
  recorded as (
    insert into operation (id, requester_id, customer_id, resource, target_ids, status, idempotency_key)
    select $1, $2, $3, $4, $5, 'OPEN', $6
    from waiting
    where waiting.operations < $7
    on conflict do nothing
    returning operation.id
  ),
  queued as (
    insert into operation_queue (operation_id, requester_id, customer_id, turn)
    select recorded.id, $2, $3, place.turn
    from recorded
    cross join place
    returning operation_queue.operation_id
  )
select
  exists (select from queued) as "accepted!",
  (select waiting.operations >= $7 from waiting) as "full!"
