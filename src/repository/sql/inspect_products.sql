-- inspect_products: reads the facts that decide whether a deletion of products is
-- refused.
--
-- $1 requester  $2 customer  $3 the product
with recursive
  -- Walks from the customer up to the requester, or to the root if the requester is not on the way.
  -- Depth 2 stands for 2 and more, so that the walk ends even in a circle.
  path (id, parent_id, depth) as (
    select customer.id, customer.parent_id, 0
    from customer
    where customer.id = $2
      and customer.deleted_at is null
    union
    select customer.id, customer.parent_id, least(path.depth + 1, 2)
    from path
    join customer on customer.id = path.parent_id
    where path.id <> $1
      and customer.deleted_at is null
  ),
  -- The customers to which the product is allocated, each once, in the order of their ids. Each is
  -- found by one look-up, so the cost does not grow with the number of allocations. "live" is true
  -- or null. As a part of the order, it keeps the planner from reading the allocations of all
  -- products in the order of their customers.
  allocated_to (customer_id, place) as (
    (
      select product_allocation.customer_id, 1
      from product_allocation
      where product_allocation.product_id = ($3::uuid[])[1]
        and product_allocation.live is not null
      order by product_allocation.live, product_allocation.customer_id
      limit 1
    )
    union all
    select next.customer_id, allocated_to.place + 1
    from allocated_to
    cross join lateral (
      select product_allocation.customer_id
      from product_allocation
      where product_allocation.product_id = ($3::uuid[])[1]
        and (product_allocation.live, product_allocation.customer_id) > (true, allocated_to.customer_id)
      order by product_allocation.live, product_allocation.customer_id
      limit 1
    ) as next
    where allocated_to.place < 100
  )
select
  (select path.depth from path where path.id = $1) as depth,
  array(
    select wanted.id
    from unnest($3::uuid[]) as wanted (id)
    where not exists (select from product where product.id = wanted.id and product.deleted_at is null)
    order by wanted.id
  ) as "unknown_ids!",
  array(
    select product.id
    from product
    where product.id = any($3)
      and product.deleted_at is null
      and (product.customer_id = $2) is not true
    order by product.id
  ) as "ineligible_ids!",
  array(
    select product_allocation.product_id
    from product_allocation
    where product_allocation.product_id = any($3)
      and product_allocation.live
    limit 1
  ) as "in_use_ids!",
  array(select allocated_to.customer_id from allocated_to order by allocated_to.place) as "in_use_by!"
