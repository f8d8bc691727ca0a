-- erase_actors: erases the actors of operations, except of those about or from a customer under
-- legal hold. The operations stay.
--
-- $1 operations
update operation
set actor = null
where operation.id = any($1)
  and operation.actor is not null
  and not exists (
    select
    from legal_hold
    where legal_hold.customer_id in (operation.customer_id, operation.requester_id)
      and legal_hold.released_at is null
  )
returning operation.id
