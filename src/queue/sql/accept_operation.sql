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
  -- One turn after the requester's last, and after the lowest that could be begun now: so requesters take turns, however many
  -- operations each has waiting. Nobody joins the lowest turn itself, or those that come would keep a longer queue waiting for ever.
  -- Where nothing in front could be begun, because it is being done or waits after an attempt that failed, after the lowest of all.
  place as materialized (
    select greatest(
      (select max(operation_queue.turn) + 1 from operation_queue where operation_queue.requester_id = $2),
      coalesce(
        (
          select lowest.turn + 1
          from (
            select operation_queue.turn, operation_queue.lease_id, operation_queue.free_at
            from operation_queue
            -- Always true, and the condition of the index.
            where operation_queue.turn >= 0
            order by operation_queue.turn, operation_queue.operation_id
            -- More than are begun at once. A condition in here, or more of them, would make the planner sort all that wait.
            limit 64
          ) as lowest
          where lowest.lease_id is null
            and lowest.free_at <= now()
          limit 1
        ),
        (
          select operation_queue.turn + 1
          from operation_queue
          where operation_queue.turn >= 0
          order by operation_queue.turn, operation_queue.operation_id
          limit 1
        ),
        0
      )
    ) as turn
  ),
  -- Nothing is recorded where the id or the key is taken already.
  recorded as (
    insert into operation (id, requester_id, customer_id, resource, target_ids, status, idempotency_key)
    select $1, $2, $3, $4::text::resource, $5, 'OPEN', $6
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
