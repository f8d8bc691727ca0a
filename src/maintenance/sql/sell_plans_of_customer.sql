-- sell_plans_of_customer: the ids of the sell plans of a customer.
--
-- $1 customer
select sell_plan.id
from sell_plan
where sell_plan.customer_id = $1
order by sell_plan.id
