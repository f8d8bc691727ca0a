-- count_subscribers_of_customer: how many there are.
--
-- $1 customer
select count(*) as "count!"
from subscriber
where subscriber.customer_id = $1
