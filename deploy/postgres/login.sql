-- Creates a role as which the service logs in, with the rights of customer_deletion_service.
--
--   psql -v ON_ERROR_STOP=1 -v role=the_service -v password=choose-one -f deploy/postgres/login.sql "$DATABASE_URL"
--
-- If the role exists, its password is changed. A superuser and an owner of the schema are refused, because the
-- service would have their rights.

select set_config('customer_deletion.login', :'role', false) as role \gset login_
do $$
declare
  login constant name := current_setting('customer_deletion.login');
begin
  if exists (
    select
    from pg_roles
    where rolname = login
      and (rolsuper or pg_has_role(oid, 'customer_deletion_owner', 'member'))
  ) then
    raise exception 'the role % is a superuser or owns the schema', login
      using hint = 'Choose another role for the service.';
  end if;
end
$$;

select format('create role %I', :'role') where to_regrole(quote_ident(:'role')) is null \gexec

alter role :"role" login password :'password';
grant customer_deletion_service to :"role";
