-- find_customer: whether a customer is live, and the number of customers below it, deleted ones
-- too. A hold only needs to know whether the customer exists.
--
-- $1 customer
select
  customer.live as "live!",
  (select count(*) from customer as below where below.parent_id = customer.id) as "below!"
from customer
where customer.id = $1
