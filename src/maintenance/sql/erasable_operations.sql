-- erasable_operations: those of the operations that nothing needs any more. The deletion of a row is explained, and can be
-- undone, by its operation alone: that is kept as long as the row.
--
-- $1 operations  $2 the age of operations  $3 the age from which rows count as kept; none for every row
select operation.id
from operation
where operation.id = any($1)
  and operation.status <> 'OPEN'
  and operation.created_at < $2
  and not exists (
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
order by operation.id
