-- An index whose concurrent build failed still exists, and "if not exists" accepts it.

do $$
begin
  if not (select indisvalid from pg_index where indexrelid = 'contact_email_idx'::regclass) then
    raise exception 'the index contact_email_idx is half-built'
      using hint = 'Run: reindex index concurrently contact_email_idx';
  end if;
end
$$;

insert into schema_version (version, oldest_build) values (9002, 12), (9003, 12);
