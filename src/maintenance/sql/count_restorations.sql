-- count_restorations: how many records of restores are old.
--
-- $1 their age
select count(*) as "count!"
from restoration
where restoration.restored_at < $1
