-- rows_of_customer: the rows of one kind that are erased with a customer. If the customer is live,
-- these are only the deleted rows of a resource. If it is deleted, they are all of its rows, and the
-- external params of others that are set on it or on its entities. Allocations that are erased with
-- its own products are left out. "union" removes external params that are found twice.
--
-- $1 kind  $2 customer  $3 whether the customer is deleted
select found.id as "id!"
from (
  select contact.id
  from contact
  where $1 = 'contact'
    and contact.customer_id = $2
    and ($3 or contact.deleted_at is not null)
  union
  select address.id
  from address
  where $1 = 'address'
    and address.customer_id = $2
    and ($3 or address.deleted_at is not null)
  union
  select external_params.id
  from external_params
  where $1 = 'external-params'
    and external_params.customer_id = $2
    and ($3 or external_params.deleted_at is not null)
  union
  select external_params.id
  from external_params
  where $1 = 'external-params'
    and $3
    and external_params.sub_customer_id = $2
  union
  select external_params.id
  from external_params
  join subscriber on subscriber.id = external_params.subscriber_id
  where $1 = 'external-params'
    and $3
    and subscriber.customer_id = $2
  union
  select external_params.id
  from external_params
  join sell_plan on sell_plan.id = external_params.sell_plan_id
  where $1 = 'external-params'
    and $3
    and sell_plan.customer_id = $2
  union
  select zone.id
  from zone
  where $1 = 'zone'
    and zone.customer_id = $2
    and ($3 or zone.deleted_at is not null)
  union
  select product.id
  from product
  where $1 = 'product'
    and product.customer_id = $2
    and ($3 or product.deleted_at is not null)
  union
  select product_allocation.id
  from product_allocation
  where $1 = 'allocation'
    and $3
    and product_allocation.customer_id = $2
    and not exists (
      select
      from product
      where product.id = product_allocation.product_id
        and product.customer_id = $2
        -- A product that a live customer has stays.
        and not exists (
          select
          from product_allocation as other
          where other.product_id = product.id
            and other.live
        )
    )
  union
  select subscriber.id
  from subscriber
  where $1 = 'subscriber'
    and $3
    and subscriber.customer_id = $2
  union
  select sell_plan.id
  from sell_plan
  where $1 = 'sell-plan'
    and $3
    and sell_plan.customer_id = $2
) as found
order by found.id
