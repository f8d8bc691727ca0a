-- erase_products: erases rows for good, if they were deleted long enough ago or their customer is to go with all it has.
-- Rows that somebody holds are left for another time, and products that a live customer has until it has them no more.
--
-- $1 ids  $2 their age  $3 the deleted customer that goes, or null  $4 whether only to count
with
  gone as materialized (
    select customer.id
    from customer
    where customer.id = $3
      and customer.deleted_at is not null
  ),
  wanted as materialized (
    select product.id
    from product
    where product.id = any($1)
      and (product.deleted_at < $2 or product.customer_id = (select gone.id from gone))
  ),
  -- Only a live product of a deleted customer can be among them.
  in_use as materialized (
    select distinct product_allocation.product_id as id
    from product_allocation
    where product_allocation.product_id = any(array(select wanted.id from wanted))
      and product_allocation.live
  ),
  due as materialized (
    select wanted.id
    from wanted
    where wanted.id <> all(array(select in_use.id from in_use))
  ),
  -- Nobody waits for a batch, and a batch waits for nobody.
  target as materialized (
    select product.id
    from product
    where not $4
      and product.id = any(array(select due.id from due))
      and (product.deleted_at < $2 or product.customer_id = (select gone.id from gone))
    order by product.id
    for update skip locked
  ),
  -- What is left of allocations goes with the product, as the foreign key wants it.
  detached as (
    delete from product_allocation
    where product_allocation.product_id = any(array(select target.id from target))
      and product_allocation.live is null
    returning product_allocation.id
  ),
  erased as (
    delete from product
    where product.id = any(array(select target.id from target))
    returning product.id
  )
select
  (select count(*) from due) as "due!",
  (select count(*) from erased) as "erased!",
  case
    when $4 then (
      select count(*)
      from product_allocation
      where product_allocation.product_id = any(array(select due.id from due))
    )
    else (select count(*) from detached)
  end as "references!",
  (select count(*) from in_use) as "in_use!"
