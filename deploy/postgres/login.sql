-- Creates the login role of the service, with the rights of customer_deletion_service.
--
--   PASSWORD=choose-one psql -v ON_ERROR_STOP=1 -v role=the_service -f deploy/postgres/login.sql "$DATABASE_URL"
--
-- If the role exists, its password is changed. A role that is, or may become, a superuser, an owner or
-- another role that the service must not be is refused. Rights of the role itself, like TRIGGER on a
-- table, are not checked here: `serve` names them. If the file fails, nothing has changed. The password
-- comes from the environment, because every user of the machine can read the arguments of a command.
-- Run by a superuser, the file also keeps it out of the log of the server. Others whose server logs
-- statements (log_statement) should set the password afterwards, with \password in psql.
--
-- The role may have at most 80 connections, or -v connections=... of them. Set the number below
-- max_connections, so that connections that wait for a standby do not keep administrators out.

\getenv password PASSWORD
\if :{?password}
\else
do $$
begin
  raise exception 'the environment variable PASSWORD is missing';
end
$$;
\endif
\if :{?connections}
\else
\set connections 80
\endif

begin;

select set_config('customer_deletion.login', :'role', true) as role \gset login_
do $$
declare
  login constant name := current_setting('customer_deletion.login');
begin
  if exists (
    select
    from pg_roles as existing
    -- A role may become itself, and a superuser every role.
    join pg_roles as power on pg_has_role(existing.oid, power.oid, 'member')
    where existing.rolname = login
      and (
        power.rolsuper or power.rolcreaterole or power.rolbypassrls or power.rolreplication
        or power.rolname in (
          'pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files', 'pg_read_all_data', 'pg_write_all_data',
          'customer_deletion_owner', 'customer_deletion_maintenance'
        )
        or power.oid = (select datdba from pg_database where datname = current_database())
        or power.oid = (select nspowner from pg_namespace where nspname = current_schema())
      )
  ) then
    raise exception 'the role % is, or may become, a role that the service must not be', login
      using
        detail = 'Such are superusers, owners, roles with CREATEROLE, BYPASSRLS or REPLICATION, and roles like pg_read_all_data.',
        hint = 'Choose another role for the service.';
  end if;
  if not pg_has_role('customer_deletion_service', 'member with admin option')
    and not (
      current_setting('server_version_num')::int < 160000
      and (select rolcreaterole from pg_roles where rolname = current_user)
    )
  then
    raise exception 'the role % may not grant customer_deletion_service', current_user
      using hint = 'Run the file as a superuser, or as the role that first ran roles.sql in this cluster.';
  end if;
  if (select rolsuper from pg_roles where rolname = current_user) then
    set local log_statement = 'none';
    set local log_min_duration_statement = -1;
    set local log_min_error_statement = 'panic';
  end if;
end
$$;

select format('create role %I', :'role') where to_regrole(quote_ident(:'role')) is null \gexec

alter role :"role" login connection limit :connections password :'password';
grant customer_deletion_service to :"role";

commit;
