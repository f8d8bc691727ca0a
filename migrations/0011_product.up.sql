-- Products, and the sub-customers to which they are allocated.
--
-- No writer may break this rule: there is no live allocation of a deleted product. A check before
-- the update cannot enforce it, because the other side can commit between the check and the update.
-- A foreign key can: PostgreSQL checks it against committed rows, for every writer and every
-- statement.
--
--   product.live                 true while the product is live, else null
--   product_allocation.live      true while the allocation is live, else null
--   (product_id, live)           refers to product (id, live), and is not checked while live is null
--
-- Deleting an allocated product is therefore a foreign key violation (23503), and so is allocating
-- a deleted one.
--
-- An allocation is live while it is not detached and its customer is live. The second half follows
-- the customer by another foreign key: (customer_id, customer_live) refers to customer (id, live),
-- and "on update cascade" passes on the deletion of a customer. So customer_live always agrees with
-- the customer.

create type renewal_interval as enum (
  'DAILY', 'WEEKLY', 'MONTHLY', 'QUARTERLY', 'SEMI_ANNUALLY', 'ANNUALLY', 'ONE_TIME'
);

comment on type renewal_interval is 'How often the cost of a product falls due; ONE_TIME: once.';

create table product (
  id uuid primary key,
  customer_id uuid not null references customer (id),
  name text not null,
  description text,
  cost numeric(18, 6) not null default 0,
  currency text not null default 'EUR',
  renewal_interval renewal_interval not null default 'MONTHLY',
  created_at timestamptz not null default now(),
  deleted_at timestamptz,
  deleted_by uuid,
  live boolean generated always as (case when deleted_at is null then true end) stored,

  -- The name has 1 to 255 characters, the cost is not negative, the currency is three capitals, and
  -- a live product has no deleter.
  constraint product_is_valid check (
    length(name) between 1 and 255
    and cost >= 0
    and currency ~ '^[A-Z]{3}$'
    and (deleted_by is null or deleted_at is not null)
  ),

  constraint product_live_key unique (id, live)
) with (fillfactor = 90);

-- A name belongs to one live product of a customer, and is free again once that product is deleted.
-- As for zones, only the erasure of a customer would use another index by customer.
create unique index product_live_name_key on product (customer_id, name) where deleted_at is null;

create trigger product_deleted_once
  after update on product
  for each row
  when (
    old.deleted_at is null and new.deleted_at <> now()
    or old.deleted_at is not null
      and (new.id, new.deleted_at, new.deleted_by) is distinct from (old.id, old.deleted_at, old.deleted_by)
  )
  execute function deleted_once();

comment on table product is 'Something that a customer sells to its sub-customers.';
comment on column product.id is 'The product''s id on the platform.';
comment on column product.customer_id is 'The customer that created it.';
comment on column product.name is 'Unique among the live products of one customer.';
comment on column product.description is 'Free text.';
comment on column product.cost is 'Price of one renewal interval, in currency.';
comment on column product.currency is 'ISO 4217.';
comment on column product.renewal_interval is 'How often cost falls due; ONE_TIME: once.';
comment on column product.created_at is 'When it was created.';
comment on column product.deleted_at is 'Null while the product is live; set once, by the deletion. Products are never restored.';
comment on column product.deleted_by is 'The operation that deleted it, which is kept as long as this row. No foreign key: other services delete here too.';
comment on column product.live is 'True while deleted_at is null, else null: a value that a foreign key can refer to.';

create view live_product with (security_barrier) as
select
  product.id,
  product.customer_id,
  product.name,
  product.description,
  product.cost,
  product.currency,
  product.renewal_interval,
  product.created_at
from product
where product.deleted_at is null;

comment on view live_product is 'Products that are not deleted.';

create table product_allocation (
  id uuid primary key,
  product_id uuid not null references product (id),
  customer_id uuid not null,
  customer_live boolean not null default true,
  created_at timestamptz not null default now(),
  detached_at timestamptz,
  live boolean generated always as (case when detached_at is null and customer_live then true end) stored,

  constraint product_allocation_customer_fkey
    foreign key (customer_id, customer_live) references customer (id, live) on update cascade,
  constraint product_allocation_live_product_fkey
    foreign key (product_id, live) references product (id, live)
);

-- The two foreign keys use these indexes when a product or a customer is deleted. The first one also
-- gives the customers that have a product, in the order of their ids.
create index product_allocation_product_id_live_customer_id_idx
  on product_allocation (product_id, live, customer_id);
create index product_allocation_customer_id_idx on product_allocation (customer_id, customer_live);

comment on table product_allocation is 'A product attached to a sub-customer, which may have the same product several times. Written by other services.';
comment on column product_allocation.id is 'The allocation''s id on the platform.';
comment on column product_allocation.product_id is 'The product.';
comment on column product_allocation.customer_id is 'The sub-customer that has it.';
comment on column product_allocation.customer_live is 'Whether that customer is live. Leave it to its default: the foreign key keeps it equal to customer.live.';
comment on column product_allocation.created_at is 'When it was created.';
comment on column product_allocation.detached_at is 'Null while the product is attached.';
comment on column product_allocation.live is 'True while the allocation is not detached and its customer is live, else null.';

create view live_product_allocation with (security_barrier) as
select
  product_allocation.id,
  product_allocation.product_id,
  product_allocation.customer_id,
  product_allocation.created_at
from product_allocation
where product_allocation.live;

comment on view live_product_allocation is 'Allocations that are not detached, to customers that are not deleted.';

insert into schema_version (version, oldest_build) values (11, 12);
