-- What other systems are told: the operations that succeeded, each once, by logical replication (wal_level = logical).
--
-- An operation that is recorded as a success is an insert. One that was open and succeeds is an update, and PostgreSQL sends
-- it as an insert too, because its old row does not match the publication's filter. To see that, it needs the old status in
-- the WAL: hence a replica identity with the status in it. (The full old row would be sent with the idempotency key in it, and
-- would double the WAL of every update and purge.)

-- Writes of operations wait while it is built. Where there are millions of them, the same statement with "concurrently" is run
-- by hand beforehand, and this one finds its work done.
-- squawk-ignore require-concurrent-index-creation
create unique index if not exists operation_replica_identity on operation (id, status);

alter table operation replica identity using index operation_replica_identity;

-- A long list of ids is stored outside its row, and an update that leaves it as it is does not write it to the WAL again: the
-- success would come without its ids. So the update to a success writes the list anew.
create function operation_is_sent_whole() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.target_ids := new.target_ids || '{}'::uuid[];
  return new;
end
$$;

create trigger operation_is_sent_whole
  before update on operation
  for each row
  when (old.status = 'OPEN' and new.status = 'SUCCESS')
  execute function operation_is_sent_whole();

comment on function operation_is_sent_whole() is 'Writes the ids of an operation anew when it succeeds, so that logical replication sends them.';

-- No deletes: a purge says nothing about the customers' data that was not said before.
create publication customer_deletion
  for table operation (id, requester_id, customer_id, resource, target_ids, status, created_at, completed_at)
  where (status = 'SUCCESS')
  with (publish = 'insert, update');

comment on publication customer_deletion is 'The deletions that succeeded, in the order of their commits.';

insert into schema_version (version) values (12);
