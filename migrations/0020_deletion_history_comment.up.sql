-- What this column says of itself was true before operations were kept as long as their rows.

comment on column deletion_history.requester_id is 'Who deleted it. Null, like the rest of the call, where another writer deleted it.';

insert into schema_version (version, oldest_build) values (20, 15);
