-- What waits to be done: one row for each operation that is open.
--
-- A call that prefers not to wait is recorded as an open operation and gets its row here, in one statement. Whoever does the
-- operation holds the row, and takes it away in the transaction that ends the operation: so an operation without its row has
-- ended, and one with a row has not. The rows are apart from the operations because they change with each try, and are few.
--
-- No foreign key: operations and their rows here come and go in the same transactions, and nobody else writes here.

create table operation_queue (
  operation_id uuid primary key,
  requester_id uuid not null,
  customer_id uuid not null,
  turn bigint not null check (turn >= 0),
  attempts integer not null default 0,
  lease_id uuid,
  free_at timestamptz not null default now(),
  created_at timestamptz not null default now()
)
-- A queue is small and all its rows are new: vacuum follows what goes, not a share of what is there.
with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, fillfactor = 70);

-- Whose turn it is. The condition is true of every row. It keeps the index from statements about one operation: while the queue is
-- empty, reading all of it looks as cheap as the primary key, and the plan is kept while the queue gets long.
create index operation_queue_turn on operation_queue (turn, operation_id) where turn >= 0;

-- Where a requester's next operation goes.
create index operation_queue_requester on operation_queue (requester_id, turn);

comment on table operation_queue is 'Operations that wait to be done, or are being done.';
comment on column operation_queue.operation_id is 'The operation, whose status is OPEN.';
comment on column operation_queue.requester_id is 'The requester of the operation.';
comment on column operation_queue.customer_id is 'The customer of the operation.';
comment on column operation_queue.turn is 'The place in the queue: the lowest is next. A requester''s operations have one after the other, so that requesters take turns.';
comment on column operation_queue.attempts is 'How often somebody began to do it.';
comment on column operation_queue.lease_id is 'The last attempt: only its transaction may end the operation.';
comment on column operation_queue.free_at is 'When it may be taken: the end of a lease, or of a pause after an attempt that failed.';
comment on column operation_queue.created_at is 'Since when it waits.';

insert into schema_version (version, oldest_build) values (16, 15);
