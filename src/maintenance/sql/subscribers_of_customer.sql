-- subscribers_of_customer: the ids of the subscribers of a customer.
--
-- $1 customer
select subscriber.id
from subscriber
where subscriber.customer_id = $1
order by subscriber.id
