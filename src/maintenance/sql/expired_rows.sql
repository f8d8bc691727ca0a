-- expired_rows: the expired rows of a table in a range of blocks, including those that other services
-- deleted. They have no index, because every deletion would have to write it.
--
-- $1 resource  $2 first block  $3 the block after the last  $4 deleted before
select expired.id as "id!"
from (
  select contact.id
  from contact
  where $1 = 'contact'
    and contact.ctid >= ('(' || $2::bigint || ',0)')::tid
    and contact.ctid < ('(' || $3::bigint || ',0)')::tid
    and contact.deleted_at < $4
  union all
  select address.id
  from address
  where $1 = 'address'
    and address.ctid >= ('(' || $2::bigint || ',0)')::tid
    and address.ctid < ('(' || $3::bigint || ',0)')::tid
    and address.deleted_at < $4
  union all
  select external_params.id
  from external_params
  where $1 = 'external-params'
    and external_params.ctid >= ('(' || $2::bigint || ',0)')::tid
    and external_params.ctid < ('(' || $3::bigint || ',0)')::tid
    and external_params.deleted_at < $4
  union all
  select zone.id
  from zone
  where $1 = 'zone'
    and zone.ctid >= ('(' || $2::bigint || ',0)')::tid
    and zone.ctid < ('(' || $3::bigint || ',0)')::tid
    and zone.deleted_at < $4
  union all
  select product.id
  from product
  where $1 = 'product'
    and product.ctid >= ('(' || $2::bigint || ',0)')::tid
    and product.ctid < ('(' || $3::bigint || ',0)')::tid
    and product.deleted_at < $4
) as expired
order by expired.id
