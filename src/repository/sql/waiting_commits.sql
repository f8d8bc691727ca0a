-- waiting_commits: those of the sessions whose commit waits for a synchronous standby.
--
-- $1 process ids
select pg_stat_activity.pid as "pid!"
from pg_stat_activity
where pg_stat_activity.pid = any($1)
  and pg_stat_activity.wait_event = 'SyncRep'
  -- By now, another role's session may have the process id.
  and pg_stat_activity.usename = session_user
