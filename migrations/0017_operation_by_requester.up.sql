-- no-transaction
-- For the list of a requester's operations: a run of ids for each status and resource, of which the newest are read.
--
-- The condition is true of every row. It keeps the index from statements that do not ask for a resource, like the look for an
-- idempotency key: while operations are few, everything that a requester ever did looks to the planner like a short way to
-- one of its keys, and the plan is kept while it gets long. Built beside the writers; 0018 records it.

create index concurrently if not exists operation_by_requester on operation (requester_id, status, resource, id)
  where resource is not null;
