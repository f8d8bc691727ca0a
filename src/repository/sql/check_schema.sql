-- check_schema: the migrations that the schema has had, and whether this server takes writes.
select
  array(select schema_version.version from schema_version order by schema_version.version) as "versions!",
  current_setting('transaction_read_only') = 'off' as "writable!"
