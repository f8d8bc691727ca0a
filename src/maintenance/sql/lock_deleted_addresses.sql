-- lock_deleted_addresses: locks the rows that an operation deleted, and returns the entities
-- that they refer to.
--
-- $1 operation
select
  address.id,
  address.customer_id,
  null::uuid as sub_customer_id,
  null::uuid as subscriber_id,
  null::uuid as sell_plan_id
from address
where address.id = any((select operation.target_ids from operation where operation.id = $1)::uuid[])
  and address.deleted_by = $1
-- In the order of their ids, as every statement locks them.
order by address.id
for update
