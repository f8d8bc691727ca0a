-- A customer whose rows are evidence is under legal hold. Its rows must not be erased.
--
-- A hold on a customer keeps the rows of that customer, and not those of its sub-customers. No
-- purge erases them, and no other writer can delete them, truncate their table or give them to
-- another customer. The operations and the records of restores of the customer are kept too. A hold
-- says nothing about soft deletion, so it outlasts the deletion of the customer. It ends when it is
-- released, and stays as a record.
--
-- A hold is in force when it is committed. A transaction that erases rows may have checked for holds
-- earlier:
--
--   read committed      Each statement sees what was committed before it. A transaction that erases
--                       shares an advisory lock until it ends. So `hold` finds the transactions that
--                       checked before its commit, and waits for them.
--   repeatable read,    The snapshot is older than the hold, so the check does not see the hold. A
--   serializable        transaction that erases locks the row of legal_hold_count. If a newer hold
--                       updated that row, PostgreSQL fails with 40001, as for its own foreign keys.

create table legal_hold (
  id uuid primary key,
  customer_id uuid not null,
  reason text not null check (length(reason) between 1 and 1000),
  placed_by text not null default session_user,
  placed_at timestamptz not null default now(),
  released_by text,
  released_at timestamptz
);

create index legal_hold_in_force on legal_hold (customer_id) where released_at is null;

create table legal_hold_count (
  only_row boolean primary key default true,
  placed bigint not null default 0,

  constraint legal_hold_count_has_one_row check (only_row)
);

insert into legal_hold_count default values;

-- It runs with the rights of its owner, so a role that places holds needs no right to
-- legal_hold_count.
create function legal_hold_is_kept() returns trigger
language plpgsql security definer as $$
begin
  if tg_op = 'INSERT' then
    update legal_hold_count set placed = legal_hold_count.placed + 1;
    return new;
  end if;
  if old.released_at is not null
    or (new.id, new.customer_id, new.reason, new.placed_by, new.placed_at)
      is distinct from (old.id, old.customer_id, old.reason, old.placed_by, old.placed_at)
  then
    raise exception 'hold % can only be released, and once', old.id using errcode = 'restrict_violation';
  end if;
  new.released_at := now();
  new.released_by := session_user;
  return new;
end
$$;

create trigger legal_hold_is_kept
  before insert or update on legal_hold
  for each row
  execute function legal_hold_is_kept();

create trigger legal_hold_is_not_deleted
  before delete or truncate on legal_hold
  for each statement
  execute function record_is_kept();

create function legal_holds_are_seen() returns void
language plpgsql as $$
begin
  perform pg_advisory_xact_lock_shared(7521086349871205);
  if current_setting('transaction_isolation') not in ('repeatable read', 'serializable') then
    return;
  end if;
  -- The end of the block releases the lock, so that no hold waits for it.
  begin
    perform
    from legal_hold_count
    for share;
    raise exception using errcode = 'triggered_action_exception';
  exception
    when triggered_action_exception then
      return;
  end;
end
$$;

-- It runs with the rights of its owner, so a role that deletes rows needs no right to holds.
create function row_is_not_on_hold() returns trigger
language plpgsql security definer as $$
declare
  owners uuid[];
  holder uuid;
begin
  case tg_table_name
    when 'customer' then owners := array[old.id];
    when 'operation', 'restoration' then owners := array[old.customer_id, old.requester_id];
    else owners := array[old.customer_id];
  end case;
  perform legal_holds_are_seen();
  select legal_hold.customer_id into holder
  from legal_hold
  where legal_hold.customer_id = any (owners)
    and legal_hold.released_at is null
  limit 1;
  if found then
    raise exception 'customer % is under legal hold', holder
      using errcode = 'restrict_violation', constraint = tg_name, table = tg_table_name;
  end if;
  return old;
end
$$;

create function table_is_not_on_hold() returns trigger
language plpgsql security definer as $$
declare
  holder uuid;
begin
  perform legal_holds_are_seen();
  select legal_hold.customer_id into holder
  from legal_hold
  where legal_hold.released_at is null
  limit 1;
  if found then
    raise exception 'customer % is under legal hold', holder
      using errcode = 'restrict_violation', constraint = tg_name, table = tg_table_name;
  end if;
  return null;
end
$$;

-- The functions find the tables of their own schema, whatever the search_path of the writer is.
do $$
begin
  execute format('alter function legal_hold_is_kept() set search_path = %I, pg_temp', current_schema());
  execute format('alter function legal_holds_are_seen() set search_path = %I, pg_temp', current_schema());
  execute format('alter function row_is_not_on_hold() set search_path = %I, pg_temp', current_schema());
  execute format('alter function table_is_not_on_hold() set search_path = %I, pg_temp', current_schema());
end
$$;

revoke execute on function
  legal_hold_is_kept(), legal_holds_are_seen(), row_is_not_on_hold(), table_is_not_on_hold()
  from public;

create trigger customer_is_not_on_hold
  before delete on customer
  for each row
  execute function row_is_not_on_hold();

create trigger contact_is_not_on_hold
  before delete on contact
  for each row
  execute function row_is_not_on_hold();

create trigger address_is_not_on_hold
  before delete on address
  for each row
  execute function row_is_not_on_hold();

create trigger subscriber_is_not_on_hold
  before delete on subscriber
  for each row
  execute function row_is_not_on_hold();

create trigger sell_plan_is_not_on_hold
  before delete on sell_plan
  for each row
  execute function row_is_not_on_hold();

create trigger external_params_is_not_on_hold
  before delete on external_params
  for each row
  execute function row_is_not_on_hold();

create trigger zone_is_not_on_hold
  before delete on zone
  for each row
  execute function row_is_not_on_hold();

create trigger product_is_not_on_hold
  before delete on product
  for each row
  execute function row_is_not_on_hold();

create trigger product_allocation_is_not_on_hold
  before delete on product_allocation
  for each row
  execute function row_is_not_on_hold();

create trigger operation_is_not_on_hold
  before delete on operation
  for each row
  execute function row_is_not_on_hold();

create trigger restoration_is_not_on_hold
  before delete on restoration
  for each row
  execute function row_is_not_on_hold();

-- A row that is given to another customer would leave the hold, and a row with another id would not
-- be the one that its operation names. A statement that sets none of the columns after "update of"
-- never runs these triggers. Records of restores need none, because they are never changed. Of an
-- operation that has ended, only the actor can change, and the trigger keeps it.
create trigger customer_stays_on_hold
  after update of id on customer
  for each row
  when (new.id <> old.id)
  execute function row_is_not_on_hold();

create trigger contact_stays_on_hold
  after update of id, customer_id on contact
  for each row
  when ((new.id, new.customer_id) is distinct from (old.id, old.customer_id))
  execute function row_is_not_on_hold();

create trigger address_stays_on_hold
  after update of id, customer_id on address
  for each row
  when ((new.id, new.customer_id) is distinct from (old.id, old.customer_id))
  execute function row_is_not_on_hold();

create trigger subscriber_stays_on_hold
  after update of id, customer_id on subscriber
  for each row
  when ((new.id, new.customer_id) is distinct from (old.id, old.customer_id))
  execute function row_is_not_on_hold();

create trigger sell_plan_stays_on_hold
  after update of id, customer_id on sell_plan
  for each row
  when ((new.id, new.customer_id) is distinct from (old.id, old.customer_id))
  execute function row_is_not_on_hold();

create trigger external_params_stays_on_hold
  after update of id, customer_id on external_params
  for each row
  when ((new.id, new.customer_id) is distinct from (old.id, old.customer_id))
  execute function row_is_not_on_hold();

create trigger zone_stays_on_hold
  after update of id, customer_id on zone
  for each row
  when ((new.id, new.customer_id) is distinct from (old.id, old.customer_id))
  execute function row_is_not_on_hold();

create trigger product_stays_on_hold
  after update of id, customer_id on product
  for each row
  when ((new.id, new.customer_id) is distinct from (old.id, old.customer_id))
  execute function row_is_not_on_hold();

create trigger product_allocation_stays_on_hold
  after update of id, product_id, customer_id on product_allocation
  for each row
  when ((new.id, new.product_id, new.customer_id) is distinct from (old.id, old.product_id, old.customer_id))
  execute function row_is_not_on_hold();

create trigger operation_stays_on_hold
  after update of id, customer_id, requester_id, actor on operation
  for each row
  when (
    (new.id, new.customer_id, new.requester_id, new.actor)
    is distinct from (old.id, old.customer_id, old.requester_id, old.actor)
  )
  execute function row_is_not_on_hold();

-- No row trigger sees a truncation.
create trigger customer_is_not_truncated
  before truncate on customer
  for each statement
  execute function table_is_not_on_hold();

create trigger contact_is_not_truncated
  before truncate on contact
  for each statement
  execute function table_is_not_on_hold();

create trigger address_is_not_truncated
  before truncate on address
  for each statement
  execute function table_is_not_on_hold();

create trigger subscriber_is_not_truncated
  before truncate on subscriber
  for each statement
  execute function table_is_not_on_hold();

create trigger sell_plan_is_not_truncated
  before truncate on sell_plan
  for each statement
  execute function table_is_not_on_hold();

create trigger external_params_is_not_truncated
  before truncate on external_params
  for each statement
  execute function table_is_not_on_hold();

create trigger zone_is_not_truncated
  before truncate on zone
  for each statement
  execute function table_is_not_on_hold();

create trigger product_is_not_truncated
  before truncate on product
  for each statement
  execute function table_is_not_on_hold();

create trigger product_allocation_is_not_truncated
  before truncate on product_allocation
  for each statement
  execute function table_is_not_on_hold();

comment on table legal_hold is 'A customer whose rows must not be erased, and why. Never purged.';
comment on column legal_hold.id is 'The hold''s id. A customer may have several, each for a reason of its own.';
comment on column legal_hold.customer_id is 'The customer. No foreign key: the record of a released hold outlives its customer.';
comment on column legal_hold.reason is 'The reason, for readers of the list of holds, such as the number of a case. No personal data.';
comment on column legal_hold.placed_by is 'The role that placed it.';
comment on column legal_hold.placed_at is 'When it was placed.';
comment on column legal_hold.released_by is 'The role that released it; null while it is in force.';
comment on column legal_hold.released_at is 'When it was released; null while it is in force.';
comment on table legal_hold_count is 'One row, which each new hold updates, so that a transaction with an older snapshot erases nothing.';
comment on column legal_hold_count.only_row is 'Always true, so that the table has one row.';
comment on column legal_hold_count.placed is 'The number of holds so far.';
comment on function legal_hold_is_kept() is 'Counts a new hold, and refuses any change of a hold but its release.';
comment on function legal_holds_are_seen() is 'Lets later holds wait for this transaction. Fails with 40001 if the snapshot is older than a hold.';
comment on function row_is_not_on_hold() is 'Refuses to delete or move a row of a customer that is under legal hold.';
comment on function table_is_not_on_hold() is 'Refuses to truncate a table while any customer is under legal hold.';

insert into schema_version (version, oldest_build) values (14, 12);
