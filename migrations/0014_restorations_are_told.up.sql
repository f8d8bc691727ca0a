-- What other systems are told of restores: each once, by logical replication.
--
-- A publication of its own, and not another table in the one of the deletions: whoever subscribes to that has no table for
-- restores, and would stop at the first one. Both in one subscription come in the order of their commits, so that a deletion
-- always comes before its restore.

-- No deletes: that the record of a restore is purged undoes nothing.
create publication customer_deletion_restorations
  for table restoration (id, operation_id, requester_id, customer_id, resource, restored_ids, restored_at)
  with (publish = 'insert');

comment on publication customer_deletion_restorations is 'The deletions that were taken back, in the order of their commits.';

insert into schema_version (version) values (14);
