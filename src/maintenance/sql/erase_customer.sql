-- erase_customer: erases a deleted customer without customers below it and without rows of its own.
--
-- $1 customer
delete from customer
where customer.id = $1
  and customer.deleted_at is not null
