-- check_schema: the applied migrations, whether this server takes writes, and settings of this session.
--
-- $1 names of settings
select
  array(select schema_version.version from schema_version order by schema_version.version) as "versions!",
  array(
    select schema_version.oldest_build
    from schema_version
    order by schema_version.version
  ) as "oldest_builds!: Vec<Option<i64>>",
  current_setting('transaction_read_only') = 'off' as "writable!",
  -- In the unit in which PostgreSQL stores each, and not in the one in which it shows it.
  array(
    select pg_settings.setting
    from unnest($1::text[]) with ordinality as wanted (name, position)
    left join pg_settings on pg_settings.name = wanted.name
    order by wanted.position
  ) as "settings!: Vec<Option<String>>"
