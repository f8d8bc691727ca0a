-- delete_addresses: deletes addresses of a sub-customer and records the operation, or changes nothing.
--
-- $1 operation  $2 requester  $3 customer  $4 addresses (ascending, each once)  $5 idempotency key or null
-- $6 whether the operation is recorded already, as open: then who calls ends it, in the same transaction
with recursive
  -- From the customer up to the requester, and no further than a sub-customer may be away.
  path (id, parent_id, depth) as (
    select customer.id, customer.parent_id, 0
    from customer
    where customer.id = $3
      and customer.deleted_at is null
    union all
    select customer.id, customer.parent_id, path.depth + 1
    from path
    join customer on customer.id = path.parent_id
    where path.depth < 1
      and customer.deleted_at is null
  ),
  -- An earlier call under the same key has the answer; this one changes nothing.
  replayed as materialized (
    select operation.id
    from operation
    where operation.requester_id = $2
      and operation.idempotency_key = $5
  ),
  -- The two customers of the path, held as they are until this transaction ends: whoever wants to re-parent or delete one
  -- of them waits. A row that has changed since the path was walked no longer matches it, and falls out.
  scope as materialized (
    select customer.id
    from path
    join customer on customer.id = path.id
    where customer.id in ($2, $3)
      and customer.parent_id is not distinct from path.parent_id
      and customer.deleted_at is null
      and exists (select from path where path.depth = 1 and path.id = $2)
      and not exists (select from replayed)
    order by customer.id
    for key share of customer
  ),
  -- Locked in the order of their ids, so that calls over the same rows wait for each other instead of deadlocking. The
  -- count comes first: nothing waits for a row before the customers are held.
  target as materialized (
    select address.id
    from address
    where (select count(*) from scope) = 2
      and address.id = any($4)
      -- "is true" keeps this a filter: as an index condition it makes the planner read everything of the customer.
      and (address.customer_id = $3) is true
      and address.deleted_at is null
    order by address.id
    for no key update
  ),
  deleted as (
    update address
    set deleted_at = now(), deleted_by = $1
    where (select count(*) from target) = cardinality($4)
      and address.id = any($4)
      and (address.customer_id = $3) is true
    returning address.id
  ),
  -- The table's own check holds deleted_rows to the number of ids: what is recorded here is all of them, or an error.
  recorded as (
    insert into operation (
      id, requester_id, customer_id, resource, target_ids, status, deleted_rows, idempotency_key, completed_at
    )
    select $1, $2, $3, 'address', $4, 'SUCCESS', count(deleted.id), $5, clock_timestamp()
    from deleted
    where not $6
    having count(deleted.id) > 0
    returning operation.id
  )
select
  (select count(*) from deleted) as "deleted_rows!",
  (select replayed.id from replayed) as "replayed: uuid::Uuid"
