-- actors_of_customer: the operations that a customer sent and that name an actor, each with the
-- customer under legal hold that keeps the actor.
--
-- $1 customer
select
  operation.id,
  (
    select legal_hold.customer_id
    from legal_hold
    where legal_hold.customer_id in (operation.customer_id, operation.requester_id)
      and legal_hold.released_at is null
    limit 1
  ) as holder
from operation
where operation.requester_id = $1
  and operation.actor is not null
  -- Always true, and the condition of the index.
  and operation.created_at >= '-infinity'
order by operation.id
