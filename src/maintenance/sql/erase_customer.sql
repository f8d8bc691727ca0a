-- erase_customer: erases a deleted customer that has nothing any more, below it or of its own.
--
-- $1 customer
delete from customer
where customer.id = $1
  and customer.deleted_at is not null
