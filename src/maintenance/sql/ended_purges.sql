-- ended_purges: the purges that this database knows to have ended.
select purge.id
from purge
where purge.ended_at is not null
