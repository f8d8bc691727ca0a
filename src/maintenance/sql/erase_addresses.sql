-- erase_addresses: erases rows for good that were deleted long enough ago, or whose customer is erased with all its rows.
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
    select address.id
    from address
    where address.id = any($1)
      and (address.deleted_at < $2 or address.customer_id = (select gone.id from gone))
  ),
  -- A batch waits for no locked row.
  target as materialized (
    select address.id
    from address
    where not $4
      and address.id = any(array(select due.id from due))
      and (address.deleted_at < $2 or address.customer_id = (select gone.id from gone))
    order by address.id
    for update skip locked
  ),
  erased as (
    delete from address
    where address.id = any(array(select target.id from target))
    returning address.id, address.deleted_by
  )
select
  (select count(*) from due) as "due!",
  array(select erased.id from erased) as "erased!",
  array(select erased.deleted_by from erased where erased.deleted_by is not null) as "operations!",
  0::bigint as "references!",
  0::bigint as "in_use!"
