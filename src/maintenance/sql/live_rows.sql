-- live_rows: the given rows that are live.
--
-- $1 resource  $2 ids
select live.id as "id!"
from (
  select contact.id
  from contact
  where $1 = 'contact'
    and contact.id = any($2)
    and contact.deleted_at is null
  union all
  select address.id
  from address
  where $1 = 'address'
    and address.id = any($2)
    and address.deleted_at is null
  union all
  select external_params.id
  from external_params
  where $1 = 'external-params'
    and external_params.id = any($2)
    and external_params.deleted_at is null
  union all
  select zone.id
  from zone
  where $1 = 'zone'
    and zone.id = any($2)
    and zone.deleted_at is null
  union all
  select product.id
  from product
  where $1 = 'product'
    and product.id = any($2)
    and product.deleted_at is null
) as live
order by live.id
