delete from schema_version where version = 15;
alter table schema_version drop column oldest_build;
comment on table schema_version is 'One row for each migration that was applied. The service is ready only when the highest number is the one it was built for.';
