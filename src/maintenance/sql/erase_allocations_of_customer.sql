-- erase_allocations_of_customer: erases allocations of deleted customers that are not under legal
-- hold.
--
-- $1 the only customer, or null  $2 ids  $3 whether those of live customers too
delete from product_allocation
using customer
where product_allocation.id = any($2)
  and customer.id = product_allocation.customer_id
  and ($1::uuid is null or customer.id = $1)
  and ($3 or customer.deleted_at is not null)
  and not exists (
    select
    from legal_hold
    where legal_hold.customer_id = customer.id
      and legal_hold.released_at is null
  )
returning product_allocation.id
