-- Reads the whole table, while others write.

alter table contact validate constraint contact_email_is_short;

insert into schema_version (version, oldest_build) values (9005, 12);
