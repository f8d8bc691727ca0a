-- The accepted operations that have not ended.
--
-- A call that prefers not to wait is recorded as an open operation and gets its row here, in one
-- statement. A worker locks the row while it executes the operation, and deletes it in the
-- transaction that ends the operation. So an operation without a row here has ended, and one with a
-- row has not. The rows are in a table of their own because they change with each attempt, and are
-- few.
--
-- There is no foreign key: an operation and its row here come and go in the same transactions, and
-- nobody else writes here.

create table operation_queue (
  operation_id uuid primary key,
  requester_id uuid not null,
  customer_id uuid not null,
  rank bigint not null check (rank >= 0),
  attempts integer not null default 0,
  lease_id uuid,
  free_at timestamptz not null default now(),
  created_at timestamptz not null default now()
)
-- A queue is small and all its rows are new: vacuum follows the deleted rows, not a share of the
-- table.
with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, fillfactor = 70);

-- The order of the queue. The condition is true of every row. It keeps the index from statements
-- about one operation. While the queue is empty, the planner would read all of it instead of using
-- the primary key, and a session keeps that plan while the queue grows.
create index operation_queue_rank on operation_queue (rank, operation_id) where rank >= 0;

-- Finds the last operation of a requester. The next one is placed after it.
create index operation_queue_requester on operation_queue (requester_id, rank);

comment on table operation_queue is 'Accepted operations that have not ended.';
comment on column operation_queue.operation_id is 'The operation, whose status is OPEN.';
comment on column operation_queue.requester_id is 'The requester of the operation.';
comment on column operation_queue.customer_id is 'The customer of the operation.';
comment on column operation_queue.rank is 'The lowest rank is next. The operations of a requester have rising ranks, so that requesters alternate.';
comment on column operation_queue.attempts is 'The number of attempts that began.';
comment on column operation_queue.lease_id is 'The last attempt: only its transaction may end the operation.';
comment on column operation_queue.free_at is 'The time from which a worker may claim it: the end of a lease, or of a pause after a failed attempt.';
comment on column operation_queue.created_at is 'The time when it was accepted.';

insert into schema_version (version, oldest_build) values (3, 12);
