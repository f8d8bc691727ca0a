-- erasing_sessions: the transactions that have looked for legal holds and may erase rows, each with
-- its session.
select
  pg_locks.virtualtransaction as "transaction!",
  case
    when pg_locks.pid is null then 'a prepared transaction'
    else format(
      'session %s (%s, %s, %s, transaction open for %s s)',
      pg_locks.pid,
      coalesce(pg_stat_activity.usename, 'no role'),
      coalesce(nullif(pg_stat_activity.application_name, ''), 'no name'),
      coalesce(pg_stat_activity.state, 'no state'),
      coalesce(extract(epoch from clock_timestamp() - pg_stat_activity.xact_start)::bigint::text, '?')
    )
  end as "session!"
from pg_locks
left join pg_stat_activity on pg_stat_activity.pid = pg_locks.pid
where pg_locks.locktype = 'advisory'
  and pg_locks.database = (select pg_database.oid from pg_database where pg_database.datname = current_database())
  and pg_locks.granted
  -- The two halves of 7521086349871205.
  and pg_locks.classid = 7521086349871205 >> 32
  and pg_locks.objid = 7521086349871205 & 4294967295
  and pg_locks.objsubid = 1
order by pg_locks.pid
