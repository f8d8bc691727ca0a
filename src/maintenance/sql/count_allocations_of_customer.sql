-- count_allocations_of_customer: how many there are.
--
-- $1 customer
select count(*) as "count!"
from product_allocation
where product_allocation.customer_id = $1
