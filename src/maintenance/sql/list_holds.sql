-- list_holds: the holds of one customer or of all, the oldest first.
--
-- $1 customer, or null  $2 whether released ones too
select
  legal_hold.id,
  legal_hold.customer_id,
  legal_hold.reason,
  legal_hold.placed_by,
  legal_hold.placed_at,
  legal_hold.released_by,
  legal_hold.released_at
from legal_hold
where ($1::uuid is null or legal_hold.customer_id = $1)
  and ($2 or legal_hold.released_at is null)
order by legal_hold.placed_at, legal_hold.id
