-- accept_operation: records a call as open and puts it into the queue, or changes nothing.
--
-- $1 operation  $2 requester  $3 customer  $4 resource  $5 ids (ascending, each once)
-- $6 idempotency key or null  $7 the largest number of queued operations of a requester
-- $8 actor or null
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
  -- The new rank is the higher of two. The first follows the requester's last operation. The second
  -- is one above the lowest operation that could start now, so that requesters alternate. With the
  -- same rank as that operation, new ones would delay a longer queue for ever. If none of the first
  -- 64 could start, because all run or pause after a failed attempt, the second rank follows the
  -- lowest of all.
  next_rank as materialized (
    select greatest(
      (select max(operation_queue.rank) + 1 from operation_queue where operation_queue.requester_id = $2),
      coalesce(
        (
          select lowest.rank + 1
          from (
            select operation_queue.rank, operation_queue.lease_id, operation_queue.free_at
            from operation_queue
            -- Always true, and the condition of the index.
            where operation_queue.rank >= 0
            order by operation_queue.rank, operation_queue.operation_id
            -- More operations than run at once. A condition here, or more rows, would make the
            -- planner sort the whole queue.
            limit 64
          ) as lowest
          where lowest.lease_id is null
            and lowest.free_at <= now()
          limit 1
        ),
        (
          select operation_queue.rank + 1
          from operation_queue
          where operation_queue.rank >= 0
          order by operation_queue.rank, operation_queue.operation_id
          limit 1
        ),
        0
      )
    ) as rank
  ),
  -- Nothing is recorded if the id or the key is taken.
  recorded as (
    insert into operation (id, requester_id, customer_id, resource, target_ids, status, idempotency_key, actor)
    select $1, $2, $3, $4::text::resource, $5, 'OPEN', $6, $8
    from waiting
    where waiting.operations < $7
    on conflict do nothing
    returning operation.id
  ),
  queued as (
    insert into operation_queue (operation_id, requester_id, customer_id, rank)
    select recorded.id, $2, $3, next_rank.rank
    from recorded
    cross join next_rank
    returning operation_queue.operation_id
  )
select
  exists (select from queued) as "accepted!",
  (select waiting.operations >= $7 from waiting) as "full!"
