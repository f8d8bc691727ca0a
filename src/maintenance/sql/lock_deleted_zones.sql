-- lock_deleted_zones: locks the rows that an operation deleted, and returns the entities
-- that they refer to.
--
-- $1 operation
select
  zone.id,
  zone.customer_id,
  null::uuid as sub_customer_id,
  null::uuid as subscriber_id,
  null::uuid as sell_plan_id
from zone
where zone.id = any((select operation.target_ids from operation where operation.id = $1)::uuid[])
  and zone.deleted_by = $1
-- In the order of their ids, as every statement locks them.
order by zone.id
for update
