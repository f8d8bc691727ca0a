-- erase_restorations: erases the records of old restores. There are few, so there is no index for it.
--
-- $1 made before
delete from restoration
where restoration.restored_at < $1
