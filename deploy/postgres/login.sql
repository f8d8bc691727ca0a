-- A role that the service logs in as, with the rights of customer_deletion_service.
--
--   psql -v ON_ERROR_STOP=1 -v role=the_service -v password=choose-one -f deploy/postgres/login.sql "$DATABASE_URL"
--
-- Run again, it changes the password.

select format('create role %I', :'role') where to_regrole(quote_ident(:'role')) is null \gexec

alter role :"role" login password :'password';
grant customer_deletion_service to :"role";
