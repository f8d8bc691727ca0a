-- deleted_rows: the given rows that are deleted, by one operation or by any.
--
-- $1 resource  $2 ids  $3 operation, or null
select deleted.id as "id!"
from (
  select contact.id, contact.deleted_by
  from contact
  where $1 = 'contact'
    and contact.id = any($2)
    and contact.deleted_at is not null
  union all
  select address.id, address.deleted_by
  from address
  where $1 = 'address'
    and address.id = any($2)
    and address.deleted_at is not null
  union all
  select external_params.id, external_params.deleted_by
  from external_params
  where $1 = 'external-params'
    and external_params.id = any($2)
    and external_params.deleted_at is not null
  union all
  select zone.id, zone.deleted_by
  from zone
  where $1 = 'zone'
    and zone.id = any($2)
    and zone.deleted_at is not null
  union all
  select product.id, product.deleted_by
  from product
  where $1 = 'product'
    and product.id = any($2)
    and product.deleted_at is not null
) as deleted
where $3::uuid is null or deleted.deleted_by = $3
order by deleted.id
