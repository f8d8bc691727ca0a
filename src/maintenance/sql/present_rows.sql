-- present_rows: the given rows that exist, each with the customer under legal hold that keeps it.
-- An allocation, a subscriber and a sell plan are live as long as their customer. An open operation
-- is left out.
--
-- $1 kind  $2 ids
select
  present.id as "id!",
  present.live as "live!",
  (
    select legal_hold.customer_id
    from legal_hold
    where legal_hold.customer_id = any(present.owners)
      and legal_hold.released_at is null
    limit 1
  ) as holder
from (
  select contact.id, contact.deleted_at is null as live, array[contact.customer_id] as owners
  from contact
  where $1 = 'contact'
    and contact.id = any($2)
  union all
  select address.id, address.deleted_at is null as live, array[address.customer_id] as owners
  from address
  where $1 = 'address'
    and address.id = any($2)
  union all
  select external_params.id, external_params.deleted_at is null as live, array[external_params.customer_id] as owners
  from external_params
  where $1 = 'external-params'
    and external_params.id = any($2)
  union all
  select zone.id, zone.deleted_at is null as live, array[zone.customer_id] as owners
  from zone
  where $1 = 'zone'
    and zone.id = any($2)
  union all
  select product.id, product.deleted_at is null as live, array[product.customer_id] as owners
  from product
  where $1 = 'product'
    and product.id = any($2)
  union all
  select product_allocation.id, customer.live, array[product_allocation.customer_id]
  from product_allocation
  join customer on customer.id = product_allocation.customer_id
  where $1 = 'allocation'
    and product_allocation.id = any($2)
  union all
  select subscriber.id, customer.live, array[subscriber.customer_id]
  from subscriber
  join customer on customer.id = subscriber.customer_id
  where $1 = 'subscriber'
    and subscriber.id = any($2)
  union all
  select sell_plan.id, customer.live, array[sell_plan.customer_id]
  from sell_plan
  join customer on customer.id = sell_plan.customer_id
  where $1 = 'sell-plan'
    and sell_plan.id = any($2)
  union all
  select customer.id, customer.live, array[customer.id]
  from customer
  where $1 = 'customer'
    and customer.id = any($2)
  union all
  select operation.id, false, array[operation.customer_id, operation.requester_id]
  from operation
  where $1 = 'operation'
    and operation.id = any($2)
    and operation.status <> 'OPEN'
  union all
  select operation.id, false, array[operation.customer_id, operation.requester_id]
  from operation
  where $1 = 'actor'
    and operation.id = any($2)
    and operation.actor is not null
  union all
  select restoration.id, false, array[restoration.customer_id, restoration.requester_id]
  from restoration
  where $1 = 'restoration'
    and restoration.id = any($2)
) as present
order by present.id
