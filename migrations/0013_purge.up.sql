-- The record of each purge, so that an erasure can be proven, and a missing row explained.
--
-- A record holds counts and ids, and no personal data. Each batch of a purge changes its record in
-- the transaction that erases the rows. So a purge that was killed has a true record as well.
--
--   purge      one row for each run: what it was asked for, by whom, when, and how many rows it erased
--   erasure    one row for each operation and run: how many rows of the operation that run erased
--
-- For each successful operation that was not restored, the rows that it deleted and the rows in
-- erasure add up to its list of ids. `customer-deletion verify` compares them.

create table purge (
  id uuid primary key,
  kind text not null,
  rows_before timestamptz,
  operations_before timestamptz,
  subject_ids uuid[] not null default '{}',
  erased jsonb not null default '{}',
  purged_by text not null default session_user,
  started_at timestamptz not null default now(),
  ended_at timestamptz
);

create table erasure (
  operation_id uuid not null,
  purge_id uuid not null,
  erased_rows integer not null check (erased_rows > 0),

  primary key (operation_id, purge_id)
);

comment on table purge is 'One row for each run of purge. Never purged itself, and without personal data.';
comment on column purge.id is 'The id of the run, which purge prints.';
comment on column purge.kind is 'What the run was asked for: age, customer, operation, one of the five resources, or replay.';
comment on column purge.rows_before is 'For a purge by age: rows that were deleted before this were erased.';
comment on column purge.operations_before is 'For a purge by age: operations that were recorded before this were erased.';
comment on column purge.subject_ids is 'For any other purge: the customer, the operation or the rows that it was asked for.';
comment on column purge.erased is 'The number of erased rows, by kind.';
comment on column purge.purged_by is 'The role that purged.';
comment on column purge.started_at is 'When the run began.';
comment on column purge.ended_at is 'When the run ended; null while it runs, and if it was stopped.';
comment on table erasure is 'How many rows of an operation a purge erased. Goes with the operation.';
comment on column erasure.operation_id is 'The operation that had deleted the rows. No foreign key: operations are purged by their own age.';
comment on column erasure.purge_id is 'The run of purge.';
comment on column erasure.erased_rows is 'The number of rows of the operation that the run erased.';

insert into schema_version (version, oldest_build) values (13, 12);
