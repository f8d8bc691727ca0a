-- The settings that the service's sessions must have, as settings of the role that it logs in as: a login does not inherit
-- them from a group. A pooler does not pass on what the service would send, so a service with
-- CUSTOMER_DELETION__DATABASE__SESSION_SETTINGS=given sends nothing, and is not ready until it finds these.
-- Run it on PostgreSQL itself, as often as you like, as a role that may alter the service's:
--
--   psql -v ON_ERROR_STOP=1 -v role=the_service -f deploy/pgbouncer/session_settings.sql "$DATABASE_URL"
--
-- Connections that are open already keep what they have: then "RECONNECT" in PgBouncer's console.

-- How statements are planned: once, for a few rows by way of an index, whatever the tables held at that time.
alter role :"role" set plan_cache_mode = 'force_generic_plan';
alter role :"role" set enable_seqscan = 'off';
alter role :"role" set jit = 'off';

-- How long they wait: DATABASE__STATEMENT_TIMEOUT_MS, DATABASE__LOCK_TIMEOUT_MS, and the first again.
alter role :"role" set statement_timeout = '2000';
alter role :"role" set lock_timeout = '1500';
alter role :"role" set idle_in_transaction_session_timeout = '2000';

-- Limits that the service does not need, whatever the database or all roles are given. The second
-- exists since PostgreSQL 17.
alter role :"role" set idle_session_timeout = '0';
select format('alter role %I set transaction_timeout = 0', :'role')
where exists (select from pg_settings where name = 'transaction_timeout') \gexec

alter role :"role" set default_transaction_isolation = 'read committed';
