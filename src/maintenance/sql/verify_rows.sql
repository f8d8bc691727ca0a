-- verify_rows: the next rows of a table, each with its disagreement with the operation that deleted
-- it, or null.
--
-- $1 resource  $2 the last id of the page before  $3 how many
with page as materialized (
  (
    select contact.id, contact.customer_id, contact.deleted_at, contact.deleted_by
    from contact
    where $1 = 'contact'
      and contact.id > $2
    order by contact.id
    limit $3
  )
  union all
  (
    select address.id, address.customer_id, address.deleted_at, address.deleted_by
    from address
    where $1 = 'address'
      and address.id > $2
    order by address.id
    limit $3
  )
  union all
  (
    select external_params.id, external_params.customer_id, external_params.deleted_at, external_params.deleted_by
    from external_params
    where $1 = 'external-params'
      and external_params.id > $2
    order by external_params.id
    limit $3
  )
  union all
  (
    select zone.id, zone.customer_id, zone.deleted_at, zone.deleted_by
    from zone
    where $1 = 'zone'
      and zone.id > $2
    order by zone.id
    limit $3
  )
  union all
  (
    select product.id, product.customer_id, product.deleted_at, product.deleted_by
    from product
    where $1 = 'product'
      and product.id > $2
    order by product.id
    limit $3
  )
)
select
  page.id as "id!",
  case
    when page.deleted_by is null then null
    when page.deleted_at is null then 'live row with a deleter'
    when operation.id is null then 'row deleted by an unknown operation'
    when operation.status <> 'SUCCESS'
      or operation.resource::text <> $1
      or page.id <> all(operation.target_ids)
    then 'row deleted by an operation that did not ask for it'
    when operation.customer_id <> page.customer_id then 'row deleted for another customer'
    when restoration.id is not null then 'row deleted by an operation that was restored'
  end as disagreement
from page
left join operation on operation.id = page.deleted_by
left join restoration on restoration.operation_id = page.deleted_by
order by page.id
