-- count_sell_plans_of_customer: how many there are.
--
-- $1 customer
select count(*) as "count!"
from sell_plan
where sell_plan.customer_id = $1
