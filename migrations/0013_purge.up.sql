-- The record of each purge, so that an erasure can be proven, and a missing row explained.
--
-- A record holds counts and ids, and no personal data. Each batch of a purge changes its record in
-- the transaction that erases the rows. So a purge that was killed has a true record as well.
--
--   purge      one row for each run, except dry runs: what it was asked for, by whom, when, and how
--              many rows it erased
--   erasure    one row for each operation and run: how many rows of the operation that run erased
--
-- Records are proof, so they only grow. Until a purge has ended, its counts rise. Then its record is
-- never changed. It is never deleted, and an erasure is deleted only after its operation.
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

create function purge_is_kept() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if old.ended_at is not null
    or (new.id, new.kind, new.rows_before, new.operations_before, new.subject_ids, new.purged_by, new.started_at)
      is distinct from
      (old.id, old.kind, old.rows_before, old.operations_before, old.subject_ids, old.purged_by, old.started_at)
    or exists (
      select
      from jsonb_each_text(old.erased) as counted (word, so_far)
      where coalesce((new.erased ->> counted.word)::bigint, 0) < counted.so_far::bigint
    )
  then
    raise exception 'purge % can only count more rows and end, once', old.id using errcode = 'restrict_violation';
  end if;
  if new.ended_at is not null then
    new.ended_at := now();
  end if;
  return new;
end
$$;

create function erasure_is_kept() returns trigger
language plpgsql security definer as $$
begin
  if tg_op = 'UPDATE' then
    raise exception 'an erasure of operation % can only count more rows', old.operation_id
      using errcode = 'restrict_violation', constraint = tg_name;
  end if;
  if exists (
    select
    from operation
    where operation.id = old.operation_id
  ) then
    raise exception 'operation % still exists, and so its erasures stay', old.operation_id
      using errcode = 'restrict_violation', constraint = tg_name;
  end if;
  return null;
end
$$;

-- The function finds the table of its own schema, whatever the search_path of the writer is.
do $$
begin
  execute format('alter function erasure_is_kept() set search_path = %I, pg_temp', current_schema());
end
$$;

revoke execute on function purge_is_kept(), erasure_is_kept() from public;

create trigger purge_only_grows
  before update on purge
  for each row
  execute function purge_is_kept();

create trigger purge_is_kept
  before delete or truncate on purge
  for each statement
  execute function record_is_kept();

create trigger erasure_only_grows
  after update on erasure
  for each row
  when (
    (new.operation_id, new.purge_id) is distinct from (old.operation_id, old.purge_id)
    or new.erased_rows < old.erased_rows
  )
  execute function erasure_is_kept();

create trigger erasure_outlasts_its_operation
  after delete on erasure
  for each row
  execute function erasure_is_kept();

create trigger erasure_is_kept
  before truncate on erasure
  for each statement
  execute function record_is_kept();

comment on function purge_is_kept() is 'Refuses any change of a purge but higher counts and its end.';
comment on function erasure_is_kept() is 'Refuses to lower the count of an erasure, and to delete it before its operation.';
comment on table purge is 'One row for each run of purge, except dry runs. It is never purged, and has no personal data.';
comment on column purge.id is 'The id of the run, which purge prints.';
comment on column purge.kind is 'The request of the run: age, customer, operation, one of the five resources, or replay.';
comment on column purge.rows_before is 'For a purge by age: rows that were deleted before this were erased.';
comment on column purge.operations_before is 'For a purge by age: operations that were recorded before this were erased.';
comment on column purge.subject_ids is 'For any other purge: the customer, the operation or the rows that it was asked for.';
comment on column purge.erased is 'The number of erased rows, by the kind of row or record.';
comment on column purge.purged_by is 'The role that purged.';
comment on column purge.started_at is 'When the run began.';
comment on column purge.ended_at is 'When the run ended; null while it runs, and if it was stopped.';
comment on table erasure is 'The number of rows of an operation that a purge erased. Deleted with the operation.';
comment on column erasure.operation_id is 'The operation that had deleted the rows. No foreign key: operations are purged by their own age.';
comment on column erasure.purge_id is 'The run of purge.';
comment on column erasure.erased_rows is 'The number of rows of the operation that the run erased.';

insert into schema_version (version, oldest_build) values (13, 12);
