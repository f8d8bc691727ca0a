-- verify_allocations: the next allocations of products, each with its disagreement with its product
-- or customer, or null.
--
-- $1 the last id of the page before  $2 how many
select
  product_allocation.id as "id!",
  case
    when customer.id is null or product.id is null then 'allocation of an unknown product or customer'
    when product_allocation.customer_live <> customer.live then 'allocation with another state than its customer'
    when product_allocation.live and product.deleted_at is not null then 'live allocation of a deleted product'
  end as disagreement
from product_allocation
left join product on product.id = product_allocation.product_id
left join customer on customer.id = product_allocation.customer_id
where product_allocation.id > $1
order by product_allocation.id
limit $2
