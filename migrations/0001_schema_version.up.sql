-- The migrations that were applied to a database, whoever ran them.
--
-- Each migration records its number here as its last statement, and removes it when it is reverted.
-- So `migrate`, psql and sqlx leave the same record, and the service decides by this table alone
-- whether the schema fits.
--
-- A rollout migrates first and replaces the service afterwards. For a while the older build runs on
-- the newer schema, and it knows nothing of the migration. So each migration names the oldest build
-- that works after it. A build is named by the newest migration that it knows:
--
--   insert into schema_version (version, oldest_build) values (15, 14);
--     It only adds something: the build of version 14 keeps working.
--   insert into schema_version (version, oldest_build) values (16, 16);
--     It removes something: older builds are not ready.
--
-- After a migration that names no build, only the builds that know it work.

create table schema_version (
  version bigint primary key,
  applied_at timestamptz not null default now(),
  applied_by text not null default current_user,
  oldest_build bigint
);

comment on table schema_version is 'One row for each migration that was applied. The service is ready when all the migrations that it knows are here, and all others work with it.';
comment on column schema_version.version is 'The number at the start of the migration''s file name.';
comment on column schema_version.applied_at is 'When it was applied.';
comment on column schema_version.applied_by is 'The role that applied it.';
comment on column schema_version.oldest_build is 'The oldest build that works after this migration, by the version it is made for; null: only builds that know the migration.';

insert into schema_version (version, oldest_build) values (1, 12);
