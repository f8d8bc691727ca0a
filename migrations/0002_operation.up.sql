-- One row for each recorded call: the request, the requester and the outcome.
--
-- It is written in the transaction of the deletion itself. So no row is deleted without its
-- operation, and no operation succeeds without its rows. There are no foreign keys on purpose: a
-- call about a customer that does not exist is recorded too, and operations are purged at an age of
-- their own.

-- An enum costs a statement nothing. PostgreSQL parses a check constraint again in each statement
-- that writes the table. Another word is added with "alter type resource add value".
create type resource as enum ('contact', 'address', 'external-params', 'zone', 'product');

comment on type resource is 'The resources that the service deletes, by their words in the URL.';

-- PostgreSQL parses a check constraint again in each statement that writes the table. So the rules
-- of an operation are one constraint, and their text is in a function, which a session parses once.
-- A migration changes them with "create or replace function", without reading the table.
create function operation_is_valid(text, uuid[], text, integer, text, timestamp with time zone, text) returns boolean
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
declare
  status alias for $1;
  target_ids alias for $2;
  error_code alias for $3;
  deleted_rows alias for $4;
  idempotency_key alias for $5;
  completed_at alias for $6;
  actor alias for $7;
begin
  return cardinality(target_ids) > 0
    and case status
      -- All or nothing: a success that deleted fewer rows than it was asked for cannot be
      -- committed.
      when 'SUCCESS' then
        deleted_rows = cardinality(target_ids) and error_code is null and completed_at is not null
      when 'FAILURE' then
        deleted_rows = 0 and error_code is not null and completed_at is not null
      -- It has no key any more: the same call may be sent again.
      when 'INTERNAL_ERROR' then
        deleted_rows = 0 and error_code is not null and completed_at is not null
        and idempotency_key is null
      when 'OPEN' then
        deleted_rows = 0 and error_code is null and completed_at is null
      else false
    end
    -- Visible ASCII, 1 to 255 characters.
    and (idempotency_key is null or idempotency_key ~ '^[!-~]{1,255}$')
    -- Printable ASCII, 1 to 255 characters, with no space at either end.
    and (actor is null or length(actor) <= 255 and actor ~ '^[!-~]([ -~]*[!-~])?$');
end
$$;

create table operation (
  id uuid primary key,
  requester_id uuid not null,
  actor text,
  customer_id uuid not null,
  resource resource not null,
  target_ids uuid[] not null,
  -- Text, because the filter of a publication takes no enum.
  status text not null,
  error_code text,
  failed_ids uuid[] not null default '{}',
  failures jsonb,
  deleted_rows integer not null default 0,
  attempts integer not null default 0,
  idempotency_key text,
  created_at timestamptz not null default now(),
  completed_at timestamptz,

  constraint operation_is_valid check (
    operation_is_valid(status, target_ids, error_code, deleted_rows, idempotency_key, completed_at, actor)
  )
);

-- One operation for a key of a requester. Calls without a key are not in the index.
create unique index operation_idempotency_key on operation (requester_id, idempotency_key)
  where idempotency_key is not null;

-- The list of a requester's operations reads these indexes: one for all of its operations, and one for
-- those about a customer. In an index, the operations with one status and resource are in the order of
-- created_at. Their ids would not give the exact order: the clocks of replicas make them, before the
-- call is recorded.
--
-- Both conditions are true of every row. A statement can only use an index whose condition it
-- repeats. So the conditions keep the indexes from other statements, like the search for an
-- idempotency key, and the first index from the list of a customer. While operations are few, the
-- planner would read all operations of a requester to find one of its keys, and a session keeps that
-- plan while their number grows.
create index operation_by_requester on operation (requester_id, status, resource, created_at, id)
  where created_at >= '-infinity';

create index operation_by_customer on operation (requester_id, customer_id, status, resource, created_at, id)
  where created_at <= 'infinity';

-- The publication below needs the old status of an updated row in the WAL, and so a replica
-- identity with the status in it. With the full old row as the identity, the idempotency key would
-- be sent. The index above cannot serve, because a replica identity has no condition.
create unique index operation_replica_identity on operation (id, status);

alter table operation replica identity using index operation_replica_identity;

create function operation_ends_once() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  -- A purge erases the actor, and changes nothing else.
  if old.actor is not null then
    old.actor := null;
    if new is not distinct from old then
      return new;
    end if;
  end if;
  raise exception 'operation % has ended', old.id using errcode = 'restrict_violation';
end
$$;

create trigger operation_ends_once
  after update on operation
  for each row
  when (old.status <> 'OPEN')
  execute function operation_ends_once();

-- PostgreSQL stores a long list of ids outside its row. An update that leaves the list as it is
-- does not write it to the WAL again, and the success would be sent without its ids. So the update
-- to a success writes the list anew.
create function operation_is_sent_whole() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
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

-- Other systems learn of the operations that succeeded, each once, by logical replication
-- (wal_level = logical). An operation that is recorded as a success is an insert. One that was open
-- and succeeds is an update, which PostgreSQL sends as an insert too, because its old row does not
-- match the filter. Deletes are not sent: a purge says nothing about the customers' data that was
-- not said before.
--
-- A publication belongs to the database and not to a schema. In another schema than public, the
-- name of the schema is part of its name.
do $do$
declare
  name text := concat('customer_deletion', '_of_' || nullif(current_schema(), 'public'));
begin
  execute replace($sql$
create publication customer_deletion
  for table operation (id, requester_id, actor, customer_id, resource, target_ids, status, created_at, completed_at)
  where (status = 'SUCCESS')
  with (publish = 'insert, update')
$sql$, 'customer_deletion', quote_ident(name));
  execute format('comment on publication %I is %L', name, 'The deletions that succeeded, in the order of their commits.');
end
$do$;

comment on function operation_is_valid(text, uuid[], text, integer, text, timestamptz, text) is 'The rules of an operation: its outcome, its rows and its columns agree.';
comment on function operation_ends_once() is 'Refuses every change of an operation that has ended, except that its actor is erased.';
comment on function operation_is_sent_whole() is 'Writes the ids of an operation anew when it succeeds, so that logical replication sends them.';
comment on table operation is 'A recorded deletion call, successful or refused.';
comment on column operation.id is 'The requestId of the answer.';
comment on column operation.requester_id is 'The customer for whom the gateway authenticated the call. Only it may ask for the status.';
comment on column operation.actor is 'Personal data: the user for whom the requester called, as the gateway or the token names it. Null: not named, or erased.';
comment on column operation.customer_id is 'The customerId of the URL.';
comment on column operation.resource is 'The resource of the call.';
comment on column operation.target_ids is 'The ids of the call, each once, in ascending order.';
comment on column operation.status is 'OPEN (in progress), SUCCESS, FAILURE (refused or cancelled) or INTERNAL_ERROR.';
comment on column operation.error_code is 'The code of a refusal, a cancellation or an internal error; null otherwise.';
comment on column operation.failed_ids is 'The ids that the first failing rule refused.';
comment on column operation.failures is 'The ids that any rule refused, each with its code, and for a product the customers to which it is allocated. Null if no id was refused.';
comment on column operation.deleted_rows is 'The number of deleted rows: the number of ids, or 0.';
comment on column operation.attempts is 'The number of times that the queue ran it. 0 for a call whose caller waited for the outcome, and while it is open.';
comment on column operation.idempotency_key is 'The Idempotency-Key of the call.';
comment on column operation.created_at is 'When the statement that recorded it began.';
comment on column operation.completed_at is 'When it ended; null while it is open.';

insert into schema_version (version, oldest_build) values (2, 12);
