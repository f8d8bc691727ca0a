delete from schema_version where version = 9005;
alter table contact drop constraint contact_email_is_short;
alter table contact add constraint contact_email_is_short check (length(email) < 1000) not valid;
