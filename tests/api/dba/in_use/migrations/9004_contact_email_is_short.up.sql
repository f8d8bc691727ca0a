-- Holds for new rows from now on. Old rows are not checked.

alter table contact add constraint contact_email_is_short check (length(email) < 1000) not valid;

insert into schema_version (version, oldest_build) values (9004, 12);
