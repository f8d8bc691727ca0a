-- Which older builds go on working once a migration was applied.
--
-- A rollout migrates first and replaces the service afterwards, so for a while the build before runs on the schema after. It
-- knows nothing of a migration that was written after it: the migration itself has to say whether that is well. From here on
-- each one does, in the row by which it records its number:
--
--   insert into schema_version (version, oldest_build) values (16, 15);  -- adds something: what was made for 15 goes on
--   insert into schema_version (version, oldest_build) values (17, 17);  -- takes something away: older builds are not ready
--
-- One that says nothing works with no build but those that know it.

alter table schema_version add column oldest_build bigint;

comment on table schema_version is 'One row for each migration that was applied. The service is ready when all that it was built with are here, and any newer ones work with it.';
comment on column schema_version.oldest_build is 'The oldest build that works on the schema after this migration, by the version it is made for; null: only those that know the migration.';

insert into schema_version (version, oldest_build) values (15, 15);
