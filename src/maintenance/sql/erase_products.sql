-- erase_products: erases rows that were deleted long enough ago, or whose deleted customer
-- is erased. Locked rows, rows of a customer under legal hold, and products that are or were
-- allocated to one, stay. A product that is allocated to a live customer stays until it is
-- detached. The age of a row counts from its deleted_at, or from its operation if that is later.
--
-- $1 ids  $2 deleted before  $3 the deleted customer to erase, or null  $4 whether only to count
-- $5 the operation that deleted them, or null
-- $6 whether to erase live rows too, with all their allocations
with
  gone as materialized (
    select customer.id
    from customer
    where customer.id = $3
      and customer.deleted_at is not null
  ),
  wanted as materialized (
    select
      product.id,
      coalesce(
        (
          select legal_hold.customer_id
          from legal_hold
          where legal_hold.customer_id = product.customer_id
            and legal_hold.released_at is null
          limit 1
        ),
        (
          select legal_hold.customer_id
          from product_allocation
          join legal_hold on legal_hold.customer_id = product_allocation.customer_id
          where product_allocation.product_id = product.id
            and legal_hold.released_at is null
          limit 1
        )
      ) as holder
    from product
    where product.id = any($1)
      and ($5::uuid is null or product.deleted_by = $5)
      and (
        greatest(
          product.deleted_at,
          (select operation.created_at from operation where operation.id = product.deleted_by)
        ) < $2
        or $6
        or product.customer_id = (select gone.id from gone)
      )
  ),
  -- Only a live product of a deleted customer can be in use.
  in_use as materialized (
    select distinct product_allocation.product_id as id
    from product_allocation
    where not $6
      and product_allocation.product_id = any(array(select wanted.id from wanted where wanted.holder is null))
      and product_allocation.live
  ),
  due as materialized (
    select wanted.id
    from wanted
    where wanted.holder is null
      and wanted.id <> all(array(select in_use.id from in_use))
  ),
  -- A batch does not wait for locked rows.
  target as materialized (
    select product.id
    from product
    where not $4
      and product.id = any(array(select due.id from due))
      and ($5::uuid is null or product.deleted_by = $5)
      and (product.deleted_at < $2 or $6 or product.customer_id = (select gone.id from gone))
    order by product.id
    for update skip locked
  ),
  -- The foreign key requires that the allocations are erased before the product.
  detached as (
    delete from product_allocation
    where product_allocation.product_id = any(array(select target.id from target))
      and (product_allocation.live is null or $6)
    returning product_allocation.id
  ),
  erased as (
    delete from product
    where product.id = any(array(select target.id from target))
    returning product.id, product.deleted_by
  )
select
  (select count(*) from due) as "due!",
  array(select erased.id from erased) as "erased!",
  array(select erased.deleted_by from erased where erased.deleted_by is not null) as "operations!",
  case
    when $4 then (
      select count(*)
      from product_allocation
      where product_allocation.product_id = any(array(select due.id from due))
    )
    else (select count(*) from detached)
  end as "references!",
  (select count(*) from in_use) as "in_use!",
  array(select wanted.holder from wanted where wanted.holder is not null) as "holders!"
