-- erase_allocations_of_customer: erases a batch of the allocations of a deleted customer.
--
-- $1 the deleted customer  $2 ids
delete from product_allocation
using customer
where product_allocation.id = any($2)
  and product_allocation.customer_id = $1
  and customer.id = $1
  and customer.deleted_at is not null
returning product_allocation.id
