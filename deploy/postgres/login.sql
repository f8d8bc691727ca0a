-- Creates a role as which the service logs in, with the rights of customer_deletion_service.
--
--   PASSWORD=choose-one psql -v ON_ERROR_STOP=1 -v role=the_service -f deploy/postgres/login.sql "$DATABASE_URL"
--
-- If the role exists, its password is changed. Roles with rights that the service must not have are
-- refused, and so is everything that fails: then nothing has changed. The password comes from the
-- environment, because every user of the machine can read the arguments of a command. Run by a
-- superuser, the file also keeps it out of the log of the server. Others whose server logs statements
-- (log_statement) should set the password afterwards, with \password in psql.
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
    from pg_roles
    where rolname = login
      and (
        rolsuper or rolcreaterole or rolbypassrls or rolreplication
        or pg_has_role(oid, 'customer_deletion_owner', 'member')
      )
  ) then
    raise exception 'the role % is a superuser, owns the schema, or has an attribute that the service must not have', login
      using hint = 'Choose another role for the service.';
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
