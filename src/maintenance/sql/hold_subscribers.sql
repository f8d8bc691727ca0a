-- hold_subscribers: the live ones of the ids. They are locked, so that they stay live until this transaction ends.
--
-- $1 ids
select subscriber.id
from subscriber
where subscriber.id = any($1)
  and subscriber.deleted_at is null
order by subscriber.id
for share
