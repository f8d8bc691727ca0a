-- running_sessions: the given sessions that PostgreSQL has not ended, and whether their commit
-- waits for a synchronous standby.
--
-- $1 process ids
select
  pg_stat_activity.pid as "pid!",
  pg_stat_activity.wait_event is not distinct from 'SyncRep' as "commit_waits!"
from pg_stat_activity
where pg_stat_activity.pid = any($1)
  and pg_stat_activity.state = 'active'
  -- By now, another role's session may have the process id.
  and pg_stat_activity.usename = session_user
