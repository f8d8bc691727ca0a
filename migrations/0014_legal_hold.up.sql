-- A customer whose rows are evidence is under legal hold. Its rows must not be erased.
--
-- A hold on a customer keeps the rows of that customer, and not those of its sub-customers. No
-- purge erases them, and no other writer can delete them. A hold says nothing about soft deletion,
-- so it outlasts the deletion of the customer. It ends when it is released, and stays as a record.
--
-- A purge looks for holds in the transaction that erases, and a hold can be placed at the same
-- time. An advisory lock keeps the two apart: whoever erases shares it, and a new hold takes it
-- alone. So an insert here waits for the batches that have begun, and batches that begin later see
-- the hold. This needs the isolation level read committed, at which each statement sees what was
-- committed before it.

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

create function legal_hold_is_kept() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op = 'INSERT' then
    perform pg_advisory_xact_lock(7521086349871205);
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

-- It runs with the rights of its owner: whoever may delete a row need not have a right to holds.
create function row_is_not_on_hold() returns trigger
language plpgsql security definer as $$
declare
  holder uuid;
begin
  case tg_table_name
    when 'customer' then holder := old.id;
    else holder := old.customer_id;
  end case;
  perform pg_advisory_xact_lock_shared(7521086349871205);
  if exists (
    select
    from legal_hold
    where legal_hold.customer_id = holder
      and legal_hold.released_at is null
  ) then
    raise exception 'customer % is under legal hold', holder
      using errcode = 'restrict_violation', constraint = tg_name, table = tg_table_name;
  end if;
  return old;
end
$$;

-- The function finds the table of its own schema, whatever the search_path of the writer is.
do $$
begin
  execute format('alter function row_is_not_on_hold() set search_path = %I, pg_temp', current_schema());
end
$$;

revoke execute on function legal_hold_is_kept(), row_is_not_on_hold() from public;

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

comment on table legal_hold is 'A customer whose rows must not be erased, and why. Never purged.';
comment on column legal_hold.id is 'The hold''s id. A customer may have several, each for a reason of its own.';
comment on column legal_hold.customer_id is 'The customer. No foreign key: the record of a released hold outlives its customer.';
comment on column legal_hold.reason is 'Why, for those who read the list of holds, such as the number of a case. No personal data.';
comment on column legal_hold.placed_by is 'The role that placed it.';
comment on column legal_hold.placed_at is 'When it was placed.';
comment on column legal_hold.released_by is 'The role that released it; null while it is in force.';
comment on column legal_hold.released_at is 'When it was released; null while it is in force.';
comment on function legal_hold_is_kept() is 'Lets a new hold wait for the batches of purges that have begun, and refuses any change of a hold but its release.';
comment on function row_is_not_on_hold() is 'Refuses to delete a row of a customer that is under legal hold.';

insert into schema_version (version, oldest_build) values (14, 12);
