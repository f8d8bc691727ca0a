-- external_params_of_customer: the deleted external params that belong to a customer. If the
-- customer is deleted, also its live ones, and those of others that are set on it or on its
-- entities. Each part uses an index.
--
-- $1 customer  $2 whether live ones too
select external_params.id as "id!"
from external_params
where external_params.customer_id = $1
  and ($2 or external_params.deleted_at is not null)
union
select external_params.id
from external_params
where $2
  and external_params.sub_customer_id = $1
union
select external_params.id
from external_params
join subscriber on subscriber.id = external_params.subscriber_id
where $2
  and subscriber.customer_id = $1
union
select external_params.id
from external_params
join sell_plan on sell_plan.id = external_params.sell_plan_id
where $2
  and sell_plan.customer_id = $1
order by 1
