-- One row for each recorded call: what was asked, by whom, and how it ended.
--
-- It is written in the transaction of the deletion itself, so a row deleted without its operation, or an operation without
-- its rows, cannot be. There are no foreign keys on purpose: a call about a customer that does not exist is recorded too,
-- and operations and rows are purged at different ages.

create table operation (
  id uuid primary key,
  requester_id uuid not null,
  customer_id uuid not null,
  resource text not null,
  target_ids uuid[] not null,
  status text not null,
  error_code text,
  failed_ids uuid[] not null default '{}',
  deleted_rows integer not null default 0,
  idempotency_key text,
  created_at timestamptz not null default now(),
  completed_at timestamptz,

  constraint operation_resource_is_known check (resource in ('contact', 'address', 'external-params', 'zone', 'product')),
  constraint operation_status_is_known check (status in ('OPEN', 'SUCCESS', 'FAILURE', 'INTERNAL_ERROR')),
  constraint operation_has_a_target check (cardinality(target_ids) > 0),
  constraint operation_is_complete_or_open check ((status = 'OPEN') = (completed_at is null)),
  constraint operation_failure_has_a_code check ((status in ('FAILURE', 'INTERNAL_ERROR')) = (error_code is not null)),

  -- All or nothing, as a rule of the schema: a success that deleted fewer rows than were asked for cannot be committed.
  constraint operation_is_all_or_nothing check (
    deleted_rows = case when status = 'SUCCESS' then cardinality(target_ids) else 0 end
  ),

  -- Visible ASCII, 1 to 255 characters. A call that ended in an internal error gives its key back: it may be sent again.
  constraint operation_idempotency_key_is_visible_ascii check (idempotency_key ~ '^[!-~]{1,255}$'),
  constraint operation_internal_error_keeps_no_key check (status <> 'INTERNAL_ERROR' or idempotency_key is null)
);

-- One operation for a key of a requester; calls without a key are not in the index.
create unique index operation_idempotency_key on operation (requester_id, idempotency_key) where idempotency_key is not null;

create function operation_ends_once() returns trigger
language plpgsql as $$
begin
  raise exception 'operation % has ended', old.id using errcode = 'restrict_violation';
end
$$;

create trigger operation_ends_once
  after update on operation
  for each row
  when (old.status <> 'OPEN')
  execute function operation_ends_once();

comment on function operation_ends_once() is 'Refuses to rewrite the outcome of an operation.';
comment on table operation is 'A recorded deletion call, successful or refused.';
comment on column operation.id is 'The requestId of the answer.';
comment on column operation.requester_id is 'The customer for whom the gateway authenticated the call. Only it may ask for the status.';
comment on column operation.customer_id is 'The customerId of the URL.';
comment on column operation.resource is 'What was to be deleted: the word in the URL.';
comment on column operation.target_ids is 'The ids that were to be deleted, each once, in ascending order.';
comment on column operation.status is 'OPEN (in progress), SUCCESS, FAILURE (refused) or INTERNAL_ERROR.';
comment on column operation.error_code is 'The documented code of a failure.';
comment on column operation.failed_ids is 'The ids that caused a refusal.';
comment on column operation.deleted_rows is 'All of target_ids or none.';
comment on column operation.idempotency_key is 'The Idempotency-Key of the call.';
comment on column operation.created_at is 'When the statement that recorded it began.';
comment on column operation.completed_at is 'When it ended; null while it is open.';

insert into schema_version (version) values (10);
