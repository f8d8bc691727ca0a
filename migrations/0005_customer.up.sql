-- The tree of customers. Other services write it. This service reads it, and locks rows while it
-- deletes.

create table customer (
  id uuid primary key,
  parent_id uuid references customer (id),
  name text not null,
  created_at timestamptz not null default now(),
  deleted_at timestamptz,
  live boolean not null generated always as (deleted_at is null) stored,

  constraint customer_is_not_its_own_parent check (parent_id <> id),

  -- product_allocation refers to it, so that the deletion of a customer reaches its allocations.
  constraint customer_live_key unique (id, live),

  -- The index finds the children of a parent. It is unique only so that PostgreSQL treats parent_id
  -- as part of the row's key, as customer_live_key does for live. A lock "for key share" then makes
  -- a re-parenting or a deletion wait, but not an update of a name.
  constraint customer_parent_key unique (parent_id, id)
);

comment on table customer is 'An account of the platform, in a tree by parent_id. Written by other services.';
comment on column customer.id is 'The account''s id on the platform.';
comment on column customer.parent_id is 'The customer one level above; null for a root.';
comment on column customer.name is 'The name of the account.';
comment on column customer.created_at is 'When it was created.';
comment on column customer.deleted_at is 'Null while the customer is live. A requester does not reach the customers below a deleted one.';
comment on column customer.live is 'Whether deleted_at is null, as a value that a foreign key can refer to.';

create trigger customer_deleted_once
  after update on customer
  for each row
  when (old.deleted_at is not null and (new.id, new.deleted_at) is distinct from (old.id, old.deleted_at))
  execute function deleted_once();

-- A check constraint sees one row, and a longer cycle takes two. Two re-parentings at the same time
-- could each see a tree in which the other has not happened, and close a cycle together. So each of
-- them first counts itself here: the second waits for the first. One whose snapshot is older than
-- the first one's commit (repeatable read) fails with 40001 and is tried again. Inserts do not
-- wait: a cycle of new rows is inserted whole in one transaction, which sees it.
create table customer_tree (
  only_row boolean primary key default true,
  re_parentings bigint not null default 0,

  constraint customer_tree_has_one_row check (only_row)
);

insert into customer_tree default values;

comment on table customer_tree is 'One row, which re-parentings of customers update, so that they happen one after the other.';
comment on column customer_tree.only_row is 'Always true, so that the table has one row.';
comment on column customer_tree.re_parentings is 'The number of re-parentings so far.';

-- It runs with the rights of its owner: a writer of customers needs no right to customer_tree, nor
-- to read other customers.
create function customer_has_no_cycle() returns trigger
language plpgsql security definer as $$
begin
  if tg_op = 'UPDATE' then
    update customer_tree set re_parentings = customer_tree.re_parentings + 1;
  end if;
  if exists (
    with recursive ancestor as (
      select customer.parent_id as id
      from customer
      where customer.id = new.id
      union
      select customer.parent_id
      from ancestor
      join customer on customer.id = ancestor.id
    )
    select from ancestor where ancestor.id = new.id
  ) then
    raise exception 'customer % would be its own ancestor', new.id
      using errcode = 'check_violation', constraint = 'customer_has_no_cycle', table = 'customer';
  end if;
  return null;
end
$$;

-- The function finds the tables of its own schema, whatever the search_path of the writer is.
do $$
begin
  execute format('alter function customer_has_no_cycle() set search_path = %I, pg_temp', current_schema());
end
$$;

revoke execute on function customer_has_no_cycle() from public;

comment on function customer_has_no_cycle() is 'Refuses a parent_id that would make a customer its own ancestor.';

create constraint trigger customer_has_no_cycle_on_insert
  after insert on customer
  for each row
  when (new.parent_id is not null)
  execute function customer_has_no_cycle();

create constraint trigger customer_has_no_cycle_on_update
  after update on customer
  for each row
  when (new.parent_id is distinct from old.parent_id and new.parent_id is not null)
  execute function customer_has_no_cycle();

-- Each table with soft deletion has a view of its live rows, for readers who might forget the
-- filter. The view reads with its owner's rights: a role can be granted the live rows and not the
-- table. With the barrier, no function of the reader sees a deleted row before the filter has
-- dropped it. A column that is added to the table later is not in the view until it is added there.
create view live_customer with (security_barrier) as
select
  customer.id,
  customer.parent_id,
  customer.name,
  customer.created_at
from customer
where customer.deleted_at is null;

comment on view live_customer is 'Customers that are not deleted.';

insert into schema_version (version, oldest_build) values (5, 12);
