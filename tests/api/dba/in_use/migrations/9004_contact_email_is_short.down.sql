delete from schema_version where version = 9004;
alter table contact drop constraint contact_email_is_short;
