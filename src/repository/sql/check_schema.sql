-- check_schema: the migrations that the schema has had, whether this server takes writes, and how this session is set.
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
  -- In the unit that each is kept in, and not in the one that it is shown in.
  array(
    select pg_settings.setting
    from unnest($1::text[]) with ordinality as wanted (name, position)
    left join pg_settings on pg_settings.name = wanted.name
    order by wanted.position
  ) as "settings!: Vec<Option<String>>"
