comment on column deletion_history.requester_id is 'Who deleted it. Null, like the rest of the call, once the operation is purged.';

delete from schema_version where version = 20;
