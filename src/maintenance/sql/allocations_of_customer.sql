-- allocations_of_customer: the ids of a customer's allocations, except those that are erased with
-- its own products.
--
-- $1 customer
select product_allocation.id
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
order by product_allocation.id
