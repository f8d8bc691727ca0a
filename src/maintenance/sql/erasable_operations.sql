-- erasable_operations: the operations that explain no existing row. An operation is kept as long as
-- one of its rows, because it explains the deletion, and a restore needs it. An operation of a
-- customer under legal hold, as customer or requester, is returned with that customer, even if rows
-- need it.
--
-- $1 operations  $2 made before  $3 rows deleted from this time on are kept; null: every row is
select
  operation.id,
  kept.holder
from operation
cross join lateral (
  select (
    select legal_hold.customer_id
    from legal_hold
    where legal_hold.customer_id in (operation.customer_id, operation.requester_id)
      and legal_hold.released_at is null
    limit 1
  ) as holder
) as kept
where operation.id = any($1)
  and operation.status <> 'OPEN'
  and operation.created_at < $2
  and (
    kept.holder is not null
    or (
      not exists (
        select
        from contact
        where operation.resource = 'contact'
          and contact.id = any(operation.target_ids)
          and contact.deleted_by = operation.id
          and contact.deleted_at >= coalesce($3, '-infinity'::timestamptz)
      )
      and not exists (
        select
        from address
        where operation.resource = 'address'
          and address.id = any(operation.target_ids)
          and address.deleted_by = operation.id
          and address.deleted_at >= coalesce($3, '-infinity'::timestamptz)
      )
      and not exists (
        select
        from external_params
        where operation.resource = 'external-params'
          and external_params.id = any(operation.target_ids)
          and external_params.deleted_by = operation.id
          and external_params.deleted_at >= coalesce($3, '-infinity'::timestamptz)
      )
      and not exists (
        select
        from zone
        where operation.resource = 'zone'
          and zone.id = any(operation.target_ids)
          and zone.deleted_by = operation.id
          and zone.deleted_at >= coalesce($3, '-infinity'::timestamptz)
      )
      and not exists (
        select
        from product
        where operation.resource = 'product'
          and product.id = any(operation.target_ids)
          and product.deleted_by = operation.id
          and product.deleted_at >= coalesce($3, '-infinity'::timestamptz)
      )
    )
  )
order by operation.id
