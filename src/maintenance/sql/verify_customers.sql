-- verify_customers: the next customers, each with its disagreement with the tree, or null.
--
-- $1 the last id of the page before  $2 how many
with recursive
  page as materialized (
    select customer.id, customer.parent_id
    from customer
    where customer.id > $1
    order by customer.id
    limit $2
  ),
  -- "union" drops what was found before, so a cycle ends the walk.
  ancestor as (
    select page.id as customer_id, page.parent_id as id
    from page
    where page.parent_id is not null
    union
    select ancestor.customer_id, customer.parent_id
    from ancestor
    join customer on customer.id = ancestor.id
    where customer.parent_id is not null
  )
select
  page.id as "id!",
  case
    when exists (
      select
      from ancestor
      where ancestor.customer_id = page.id
        and ancestor.id = page.id
    )
    then 'customer that is its own ancestor'
    when page.parent_id is not null and parent.id is null then 'customer below an unknown customer'
  end as disagreement
from page
left join customer as parent on parent.id = page.parent_id
order by page.id
