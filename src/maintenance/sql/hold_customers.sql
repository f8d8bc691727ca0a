-- hold_customers: the live ones of the ids. They are locked, so that they stay live until this transaction ends.
--
-- $1 ids
select customer.id
from customer
where customer.id = any($1)
  and customer.deleted_at is null
order by customer.id
for key share
