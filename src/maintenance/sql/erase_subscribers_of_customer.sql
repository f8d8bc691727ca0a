-- erase_subscribers_of_customer: erases a batch of what a deleted customer has.
--
-- $1 the deleted customer  $2 how many
delete from subscriber
where subscriber.id = any(array(
    select subscriber.id
    from subscriber
    join customer on customer.id = subscriber.customer_id
    where subscriber.customer_id = $1
      and customer.deleted_at is not null
    order by subscriber.id
    limit $2
  ))
