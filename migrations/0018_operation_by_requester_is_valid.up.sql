-- An index that was built concurrently is there even when that failed, and "if not exists" is content with it.

do $$
begin
  if not (select indisvalid from pg_index where indexrelid = 'operation_by_requester'::regclass) then
    raise exception 'the index operation_by_requester is half-built'
      using hint = 'Run: reindex index concurrently operation_by_requester';
  end if;
end
$$;

insert into schema_version (version, oldest_build) values (17, 15), (18, 15);
