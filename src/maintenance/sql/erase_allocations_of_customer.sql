-- erase_allocations_of_customer: erases a batch of what a deleted customer has.
--
-- $1 the deleted customer  $2 how many
delete from product_allocation
where product_allocation.id = any(array(
    select product_allocation.id
    from product_allocation
    join customer on customer.id = product_allocation.customer_id
    where product_allocation.customer_id = $1
      and customer.deleted_at is not null
    order by product_allocation.id
    limit $2
  ))
