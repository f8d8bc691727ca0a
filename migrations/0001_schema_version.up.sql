-- Which migrations a database has had, whoever ran them.
--
-- sqlx keeps a table of its own, but a DBA who runs these files with psql leaves no trace there. So every migration adds
-- its number here as its last statement, and takes it away when it is reverted. The service reads this table and nothing
-- else to decide whether the schema fits it.

create table schema_version (
  version bigint primary key,
  applied_at timestamptz not null default now(),
  applied_by text not null default current_user
);

comment on table schema_version is 'One row for each migration that was applied. The service is ready only when the highest number is the one it was built for.';
comment on column schema_version.version is 'The number at the start of the migration''s file name.';
comment on column schema_version.applied_at is 'When it was applied.';
comment on column schema_version.applied_by is 'The role that applied it.';

insert into schema_version (version) values (1);
