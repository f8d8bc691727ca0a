-- delete_products: deletes a product of the requester and records the operation, or changes nothing.
--
-- $1 operation  $2 requester  $3 customer  $4 the product (ascending, each once)  $5 idempotency key or null
-- $6 whether the operation is recorded already, as open: then who calls ends it, in the same transaction
with
  -- An earlier call under the same key has the answer; this one changes nothing.
  replayed as materialized (
    select operation.id
    from operation
    where operation.requester_id = $2
      and operation.idempotency_key = $5
  ),
  -- At depth 0 the customer is the requester, and there is no path to walk. It is held until this transaction ends: whoever
  -- wants to delete it waits.
  scope as materialized (
    select customer.id
    from customer
    where customer.id = $3
      and $3 = $2
      and customer.deleted_at is null
      and not exists (select from replayed)
    for key share
  ),
  -- Locked in the order of their ids, so that calls over the same rows wait for each other instead of deadlocking. The
  -- count comes first: nothing waits for a row before the customer is held.
  target as materialized (
    select product.id
    from product
    where (select count(*) from scope) = 1
      and product.id = any($4)
      -- "is true" keeps this a filter: as an index condition it makes the planner read everything of the customer.
      and (product.customer_id = $3) is true
      and product.deleted_at is null
      -- A courtesy that spares the server's log an error. The rule itself is kept by product_allocation's foreign key, because
      -- an allocation can be committed between this look and the update.
      and not exists (
        select
        from product_allocation
        where product_allocation.product_id = product.id
          and product_allocation.live
      )
    order by product.id
    for update
  ),
  deleted as (
    update product
    set deleted_at = now(), deleted_by = $1
    where (select count(*) from target) = cardinality($4)
      and product.id = any($4)
      and (product.customer_id = $3) is true
    returning product.id
  ),
  -- The table's own check holds deleted_rows to the number of ids: what is recorded here is all of them, or an error.
  recorded as (
    insert into operation (
      id, requester_id, customer_id, resource, target_ids, status, deleted_rows, idempotency_key, completed_at
    )
    select $1, $2, $3, 'product', $4, 'SUCCESS', count(deleted.id), $5, clock_timestamp()
    from deleted
    where not $6
    having count(deleted.id) > 0
    returning operation.id
  )
select
  (select count(*) from deleted) as "deleted_rows!",
  (select replayed.id from replayed) as "replayed: uuid::Uuid"
