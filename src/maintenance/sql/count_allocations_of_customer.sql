-- count_allocations_of_customer: how many a deleted customer has, but for those that go with its own products.
--
-- $1 customer
select count(*) as "count!"
from product_allocation
where product_allocation.customer_id = $1
  and not exists (
    select
    from product
    where product.id = product_allocation.product_id
      and product.customer_id = $1
      -- A product that a live customer has stays.
      and not exists (
        select
        from product_allocation as other
        where other.product_id = product.id
          and other.live
      )
  )
