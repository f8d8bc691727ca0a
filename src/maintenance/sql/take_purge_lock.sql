-- take_purge_lock: whether this session may purge. The lock ends with the session.
select pg_try_advisory_lock(7521086349871206) as "taken!"
