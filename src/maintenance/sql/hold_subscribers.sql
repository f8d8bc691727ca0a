-- hold_subscribers: those of the ids that are live, held so that they stay so until this transaction ends.
--
-- $1 ids
select subscriber.id
from subscriber
where subscriber.id = any($1)
  and subscriber.deleted_at is null
order by subscriber.id
for share
