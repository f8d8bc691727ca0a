-- delete_products: deletes a product of the requester and records the operation, or changes
-- nothing.
--
-- $1 operation  $2 requester  $3 customer  $4 the product (ascending, each once)
-- $5 idempotency key or null
-- $6 whether the operation is recorded as open; then the caller ends it in the same transaction
-- $7 actor or null
with
  -- At depth 0 the customer is the requester, so there is no path to walk. It is locked until this
  -- transaction ends, and a deletion of it waits.
  scope as materialized (
    select customer.id
    from customer
    where customer.id = $3
      and $3 = $2
      and customer.deleted_at is null
    for key share
  ),
  -- One pass checks, locks and updates the rows. It waits for no row before the customer is locked.
  -- The index gives the rows in the order of their ids, so that calls about the same rows wait for
  -- each other and never deadlock. The settings of the session switch off every other plan.
  deleted as (
    update product
    set deleted_at = now(), deleted_by = $1
    where exists (select from scope)
      and product.id = any($4)
      and (product.customer_id = $3 and product.deleted_at is null) is true
      -- This only spares the server's log an error. The foreign key of product_allocation keeps the
      -- rule itself, because an allocation can be committed between this check and the update.
      and not exists (
        select
        from product_allocation
        where product_allocation.product_id = product.id
          and product_allocation.live
        limit 1
      )
    returning product.id
  ),
  counted as materialized (
    select count(*) as rows
    from deleted
  ),
  -- The check of the table compares deleted_rows with the number of ids. So a list with rows that
  -- could not be deleted is an error, which rolls back the others.
  recorded as (
    insert into operation (
      id, requester_id, customer_id, resource, target_ids, status, deleted_rows, idempotency_key, actor,
      completed_at
    )
    select $1, $2, $3, 'product', $4, 'SUCCESS', counted.rows, $5, $7, clock_timestamp()
    from counted
    where counted.rows > 0
      and not $6
  )
select counted.rows as "deleted_rows!"
from counted
