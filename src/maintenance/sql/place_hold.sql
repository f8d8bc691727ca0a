-- place_hold: places a customer under legal hold. Returns no row if there is no such customer.
--
-- $1 hold  $2 customer  $3 reason
insert into legal_hold (id, customer_id, reason)
select $1, customer.id, $3
from customer
where customer.id = $2
returning legal_hold.id
