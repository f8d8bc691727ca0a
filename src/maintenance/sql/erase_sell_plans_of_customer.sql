-- erase_sell_plans_of_customer: erases a batch of the sell plans of a deleted customer.
--
-- $1 the deleted customer  $2 ids
delete from sell_plan
using customer
where sell_plan.id = any($2)
  and sell_plan.customer_id = $1
  and customer.id = $1
  and customer.deleted_at is not null
returning sell_plan.id
