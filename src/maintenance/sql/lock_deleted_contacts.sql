-- lock_deleted_contacts: locks the rows that an operation deleted, and returns the entities
-- that they refer to.
--
-- $1 operation
select
  contact.id,
  contact.customer_id,
  null::uuid as sub_customer_id,
  null::uuid as subscriber_id,
  null::uuid as sell_plan_id
from contact
where contact.id = any((select operation.target_ids from operation where operation.id = $1)::uuid[])
  and contact.deleted_by = $1
-- In the order of their ids, as every statement locks them.
order by contact.id
for update
