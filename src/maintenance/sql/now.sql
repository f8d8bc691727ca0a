-- now: the time of the database, which is also the source of deleted_at.
select now() as "now!"
