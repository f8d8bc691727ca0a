-- The settings of the service's sessions, as settings of the role as which it logs in. A login does not
-- inherit them from a group. A pooler does not pass on what the service would send. So a service with
-- CUSTOMER_DELETION__DATABASE__SESSION_SETTINGS=given sends nothing, and is not ready until it finds these.
-- Run this file on PostgreSQL itself, as a role that may alter the service's role. It may run again:
--
--   psql -v ON_ERROR_STOP=1 -v role=the_service -f deploy/pgbouncer/session_settings.sql "$DATABASE_URL"
--
-- Open connections keep their settings. To replace them, run RECONNECT in PgBouncer's console.

-- Statements are planned once, for a few rows found by an index, whatever the tables contain at that time. An index is
-- read in the order of the ids, so that overlapping lists never deadlock.
alter role :"role" set plan_cache_mode = 'force_generic_plan';
alter role :"role" set enable_seqscan = 'off';
alter role :"role" set enable_bitmapscan = 'off';
alter role :"role" set max_parallel_workers_per_gather = '0';
alter role :"role" set enable_indexscan = 'on';
alter role :"role" set jit = 'off';

-- Four fifths, three fifths and four fifths of DATABASE__DEADLINE_MS (2500).
alter role :"role" set statement_timeout = '2000';
alter role :"role" set lock_timeout = '1500';
alter role :"role" set idle_in_transaction_session_timeout = '2000';

-- The service does not need these limits, even if the database or all roles have them. The second exists
-- since PostgreSQL 17.
alter role :"role" set idle_session_timeout = '0';
select format('alter role %I set transaction_timeout = 0', :'role')
where exists (select from pg_settings where name = 'transaction_timeout') \gexec

alter role :"role" set default_transaction_isolation = 'read committed';
