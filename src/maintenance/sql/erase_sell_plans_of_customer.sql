-- erase_sell_plans_of_customer: erases a batch of what a deleted customer has.
--
-- $1 the deleted customer  $2 how many
delete from sell_plan
where sell_plan.id = any(array(
    select sell_plan.id
    from sell_plan
    join customer on customer.id = sell_plan.customer_id
    where sell_plan.customer_id = $1
      and customer.deleted_at is not null
    order by sell_plan.id
    limit $2
  ))
