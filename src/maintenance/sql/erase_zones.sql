-- erase_zones: erases rows that were deleted long enough ago, or whose deleted customer
-- is erased. Locked rows, and rows of a customer under legal hold, stay. The age of a row counts
-- from its deleted_at, or from its operation if that is later.
--
-- $1 ids  $2 deleted before  $3 the deleted customer to erase, or null  $4 whether only to count
-- $5 the operation that deleted them, or null  $6 whether to erase live rows too
with
  gone as materialized (
    select customer.id
    from customer
    where customer.id = $3
      and customer.deleted_at is not null
  ),
  wanted as materialized (
    select
      zone.id,
      (
        select legal_hold.customer_id
        from legal_hold
        where legal_hold.customer_id = zone.customer_id
          and legal_hold.released_at is null
        limit 1
      ) as holder
    from zone
    where zone.id = any($1)
      and ($5::uuid is null or zone.deleted_by = $5)
      and (
        greatest(
          zone.deleted_at,
          (select operation.created_at from operation where operation.id = zone.deleted_by)
        ) < $2
        or $6
        or zone.customer_id = (select gone.id from gone)
      )
  ),
  -- A batch does not wait for locked rows.
  target as materialized (
    select zone.id
    from zone
    where not $4
      and zone.id = any(array(select wanted.id from wanted where wanted.holder is null))
      and ($5::uuid is null or zone.deleted_by = $5)
      and (zone.deleted_at < $2 or $6 or zone.customer_id = (select gone.id from gone))
    order by zone.id
    for update skip locked
  ),
  erased as (
    delete from zone
    where zone.id = any(array(select target.id from target))
    returning zone.id, zone.deleted_by
  )
select
  (select count(*) from wanted where wanted.holder is null) as "due!",
  array(select erased.id from erased) as "erased!",
  array(select erased.deleted_by from erased where erased.deleted_by is not null) as "operations!",
  0::bigint as "references!",
  0::bigint as "in_use!",
  array(select wanted.holder from wanted where wanted.holder is not null) as "holders!"
