-- erase_sell_plans_of_customer: erases sell plans of deleted customers that are not under legal
-- hold.
--
-- $1 the only customer, or null  $2 ids  $3 whether those of live customers too
delete from sell_plan
using customer
where sell_plan.id = any($2)
  and customer.id = sell_plan.customer_id
  and ($1::uuid is null or customer.id = $1)
  and ($3 or customer.deleted_at is not null)
  and not exists (
    select
    from legal_hold
    where legal_hold.customer_id = customer.id
      and legal_hold.released_at is null
  )
returning sell_plan.id
