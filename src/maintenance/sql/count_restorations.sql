-- count_restorations: the number of old records of restores.
--
-- $1 made before
select count(*) as "count!"
from restoration
where restoration.restored_at < $1
