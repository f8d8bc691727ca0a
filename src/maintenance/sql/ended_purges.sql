-- ended_purges: the purges that are recorded as ended.
select purge.id
from purge
where purge.ended_at is not null
