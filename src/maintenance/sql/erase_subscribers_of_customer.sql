-- erase_subscribers_of_customer: erases a batch of the subscribers of a deleted customer.
--
-- $1 the deleted customer  $2 ids
delete from subscriber
using customer
where subscriber.id = any($2)
  and subscriber.customer_id = $1
  and customer.id = $1
  and customer.deleted_at is not null
returning subscriber.id
