-- Reads the whole table, beside the writers.

alter table contact validate constraint contact_email_is_short;

insert into schema_version (version, oldest_build) values (9005, 12);
