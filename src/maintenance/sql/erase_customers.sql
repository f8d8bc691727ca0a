-- erase_customers: erases deleted customers without customers below them, without rows of their
-- own, and not under legal hold.
--
-- $1 customers  $2 whether live ones too
delete from customer
where customer.id = any($1)
  and ($2 or customer.deleted_at is not null)
  and not exists (
    select
    from legal_hold
    where legal_hold.customer_id = customer.id
      and legal_hold.released_at is null
  )
returning customer.id
