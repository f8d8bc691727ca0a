-- old_restorations: the records of old restores, each with a customer under legal hold that keeps
-- it, or null. They are few, so they have no index.
--
-- $1 made before
select
  restoration.id,
  (
    select legal_hold.customer_id
    from legal_hold
    where legal_hold.customer_id in (restoration.customer_id, restoration.requester_id)
      and legal_hold.released_at is null
    limit 1
  ) as holder
from restoration
where restoration.restored_at < $1
order by restoration.id
