-- check_schema: the version of the schema, and whether this server takes writes.
select
  (select max(schema_version.version) from schema_version) as version,
  current_setting('transaction_read_only') = 'off' as "writable!"
