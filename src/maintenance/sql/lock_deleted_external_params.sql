-- lock_deleted_external_params: locks the rows that an operation deleted, and returns the entities
-- that they refer to.
--
-- $1 operation
select
  external_params.id,
  external_params.customer_id,
  external_params.sub_customer_id,
  external_params.subscriber_id,
  external_params.sell_plan_id
from external_params
where external_params.id = any((select operation.target_ids from operation where operation.id = $1)::uuid[])
  and external_params.deleted_by = $1
-- In the order of their ids, as every statement locks them.
order by external_params.id
for update
