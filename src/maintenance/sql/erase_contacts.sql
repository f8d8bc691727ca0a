-- erase_contacts: erases rows for good that were deleted long enough ago, or whose customer is erased with all its rows.
-- Locked rows are skipped.
--
-- $1 ids  $2 deleted before  $3 the deleted customer to erase, or null  $4 whether only to count
with
  gone as materialized (
    select customer.id
    from customer
    where customer.id = $3
      and customer.deleted_at is not null
  ),
  due as materialized (
    select contact.id
    from contact
    where contact.id = any($1)
      and (contact.deleted_at < $2 or contact.customer_id = (select gone.id from gone))
  ),
  -- A batch waits for no locked row.
  target as materialized (
    select contact.id
    from contact
    where not $4
      and contact.id = any(array(select due.id from due))
      and (contact.deleted_at < $2 or contact.customer_id = (select gone.id from gone))
    order by contact.id
    for update skip locked
  ),
  erased as (
    delete from contact
    where contact.id = any(array(select target.id from target))
    returning contact.id, contact.deleted_by
  )
select
  (select count(*) from due) as "due!",
  array(select erased.id from erased) as "erased!",
  array(select erased.deleted_by from erased where erased.deleted_by is not null) as "operations!",
  0::bigint as "references!",
  0::bigint as "in_use!"
