-- erase_restorations: erases the records of old restores. There are few, and no index is worth its while.
--
-- $1 their age
delete from restoration
where restoration.restored_at < $1
