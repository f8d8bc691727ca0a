-- erase_external_params: erases rows that were deleted long enough ago, or whose deleted customer
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
      external_params.id,
      (
        select legal_hold.customer_id
        from legal_hold
        where legal_hold.customer_id = external_params.customer_id
          and legal_hold.released_at is null
        limit 1
      ) as holder
    from external_params
    where external_params.id = any($1)
      and ($5::uuid is null or external_params.deleted_by = $5)
      and (
        greatest(
          external_params.deleted_at,
          (select operation.created_at from operation where operation.id = external_params.deleted_by)
        ) < $2
        or $6
        or external_params.customer_id = (select gone.id from gone)
        or external_params.sub_customer_id = (select gone.id from gone)
        or external_params.subscriber_id in (select subscriber.id from subscriber join gone on subscriber.customer_id = gone.id)
        or external_params.sell_plan_id in (select sell_plan.id from sell_plan join gone on sell_plan.customer_id = gone.id)
      )
  ),
  -- A batch does not wait for locked rows.
  target as materialized (
    select external_params.id
    from external_params
    where not $4
      and external_params.id = any(array(select wanted.id from wanted where wanted.holder is null))
      and ($5::uuid is null or external_params.deleted_by = $5)
      and (
        external_params.deleted_at < $2
        or $6
        or external_params.customer_id = (select gone.id from gone)
        or external_params.sub_customer_id = (select gone.id from gone)
        or external_params.subscriber_id in (select subscriber.id from subscriber join gone on subscriber.customer_id = gone.id)
        or external_params.sell_plan_id in (select sell_plan.id from sell_plan join gone on sell_plan.customer_id = gone.id)
      )
    order by external_params.id
    for update skip locked
  ),
  erased as (
    delete from external_params
    where external_params.id = any(array(select target.id from target))
    returning external_params.id, external_params.deleted_by
  )
select
  (select count(*) from wanted where wanted.holder is null) as "due!",
  array(select erased.id from erased) as "erased!",
  array(select erased.deleted_by from erased where erased.deleted_by is not null) as "operations!",
  0::bigint as "references!",
  0::bigint as "in_use!",
  array(select wanted.holder from wanted where wanted.holder is not null) as "holders!"
