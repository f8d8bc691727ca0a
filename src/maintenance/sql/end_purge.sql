-- end_purge: records that a purge has ended.
--
-- $1 purge
update purge
set ended_at = now()
where purge.id = $1
