-- The tree of customers. Other services write it; this one reads it, and holds rows still while it deletes.

create table customer (
  id uuid primary key,
  parent_id uuid references customer (id),
  name text not null,
  created_at timestamptz not null default now(),
  deleted_at timestamptz,
  live boolean not null generated always as (deleted_at is null) stored,

  constraint customer_is_not_its_own_parent check (parent_id <> id),

  -- What product_allocation refers to, so that the death of a customer reaches its allocations.
  constraint customer_live_key unique (id, live),

  -- The index by which a parent finds its children. It is unique, which says nothing about the data (id alone is), but
  -- makes parent_id and live part of the row's key for PostgreSQL. A deletion that holds its customers "for key share"
  -- then keeps a re-parenting or a deletion of them waiting, but not an update of a name.
  constraint customer_parent_key unique (parent_id, id)
);

comment on table customer is 'An account of the platform, in a tree by parent_id. Written by other services.';
comment on column customer.id is 'The account''s id on the platform.';
comment on column customer.parent_id is 'The customer one level above; null for a root.';
comment on column customer.name is 'The name of the account.';
comment on column customer.created_at is 'When it was created.';
comment on column customer.deleted_at is 'Null while the customer is live. A deleted customer breaks every chain that leads through it.';
comment on column customer.live is 'True while deleted_at is null: the half of deleted_at that a foreign key can refer to.';

create trigger customer_deleted_once
  after update on customer
  for each row
  when (old.deleted_at is not null and new.deleted_at is distinct from old.deleted_at)
  execute function deleted_once();

-- A check constraint sees one row, and a longer cycle takes two. Two re-parentings that run side by side could each see a tree
-- in which the other has not happened, and close a cycle together. So each of them counts itself here first: the second waits
-- for the first, and one whose snapshot is older than the first's commit (repeatable read) fails with 40001 and is tried again.
-- Inserts do not wait: a cycle of new rows is born whole in one transaction, which sees it.
create table customer_tree (
  only_row boolean primary key default true,
  re_parentings bigint not null default 0,

  constraint customer_tree_has_one_row check (only_row)
);

insert into customer_tree default values;

comment on table customer_tree is 'One row, which re-parentings of customers update, so that they happen one after the other.';
comment on column customer_tree.only_row is 'True.';
comment on column customer_tree.re_parentings is 'How many there were.';

-- The tables are named by where they are, because the writer's search_path may be any.
create function customer_has_no_cycle() returns trigger
language plpgsql as $$
declare
  cyclic boolean;
begin
  if tg_op = 'UPDATE' then
    execute format('update %I.customer_tree set re_parentings = re_parentings + 1', tg_table_schema);
  end if;
  execute format(
    'with recursive ancestor as (
       select customer.parent_id as id
       from %1$I.customer
       where customer.id = $1
       union
       select customer.parent_id
       from ancestor
       join %1$I.customer on customer.id = ancestor.id
     )
     select exists (select from ancestor where ancestor.id = $1)',
    tg_table_schema
  ) into cyclic using new.id;
  if cyclic then
    raise exception 'customer % would be its own ancestor', new.id
      using errcode = 'check_violation', constraint = 'customer_has_no_cycle', table = 'customer';
  end if;
  return null;
end
$$;

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

insert into schema_version (version) values (3);
