-- hold_customers: those of the ids that are live, held so that they stay so until this transaction ends.
--
-- $1 ids
select customer.id
from customer
where customer.id = any($1)
  and customer.deleted_at is null
order by customer.id
for key share
