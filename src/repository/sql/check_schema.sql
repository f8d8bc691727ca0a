-- check_schema: the applied migrations, whether this server takes writes, and settings of this
-- session.
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
  -- pg_settings has the values in one unit. In a new session it takes 10 times as long.
  array(
    select current_setting(wanted.name, true)
    from unnest($1::text[]) with ordinality as wanted (name, position)
    order by wanted.position
  ) as "settings!: Vec<Option<String>>"
