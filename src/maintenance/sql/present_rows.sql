-- present_rows: the given rows that exist, each with the operation that deleted it, and with the
-- customer under legal hold that keeps it. An allocation, a subscriber and a sell plan are live as
-- long as their customer. An open operation is left out.
--
-- $1 kind  $2 ids
select
  present.id as "id!",
  present.live as "live!",
  present.deleted_by,
  (
    select legal_hold.customer_id
    from legal_hold
    where legal_hold.customer_id = any(present.owners)
      and legal_hold.released_at is null
    limit 1
  ) as holder
from (
  select contact.id, contact.deleted_at is null, contact.deleted_by, array[contact.customer_id]
  from contact
  where $1 = 'contact'
    and contact.id = any($2)
  union all
  select address.id, address.deleted_at is null, address.deleted_by, array[address.customer_id]
  from address
  where $1 = 'address'
    and address.id = any($2)
  union all
  select external_params.id, external_params.deleted_at is null, external_params.deleted_by, array[external_params.customer_id]
  from external_params
  where $1 = 'external-params'
    and external_params.id = any($2)
  union all
  select zone.id, zone.deleted_at is null, zone.deleted_by, array[zone.customer_id]
  from zone
  where $1 = 'zone'
    and zone.id = any($2)
  union all
  select product.id, product.deleted_at is null, product.deleted_by, array[product.customer_id]
  from product
  where $1 = 'product'
    and product.id = any($2)
  union all
  select product_allocation.id, customer.live, null, array[product_allocation.customer_id]
  from product_allocation
  join customer on customer.id = product_allocation.customer_id
  where $1 = 'allocation'
    and product_allocation.id = any($2)
  union all
  select subscriber.id, customer.live, null, array[subscriber.customer_id]
  from subscriber
  join customer on customer.id = subscriber.customer_id
  where $1 = 'subscriber'
    and subscriber.id = any($2)
  union all
  select sell_plan.id, customer.live, null, array[sell_plan.customer_id]
  from sell_plan
  join customer on customer.id = sell_plan.customer_id
  where $1 = 'sell-plan'
    and sell_plan.id = any($2)
  union all
  select customer.id, customer.live, null, array[customer.id]
  from customer
  where $1 = 'customer'
    and customer.id = any($2)
  union all
  select operation.id, false, null, array[operation.customer_id, operation.requester_id]
  from operation
  where $1 = 'operation'
    and operation.id = any($2)
    and operation.status <> 'OPEN'
  union all
  select operation.id, false, null, array[operation.customer_id, operation.requester_id]
  from operation
  where $1 = 'actor'
    and operation.id = any($2)
    and operation.actor is not null
  union all
  select restoration.id, false, null, array[restoration.customer_id, restoration.requester_id]
  from restoration
  where $1 = 'restoration'
    and restoration.id = any($2)
) as present (id, live, deleted_by, owners)
order by present.id
