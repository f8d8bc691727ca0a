-- The two entities, besides a sub-customer, on which external params can be set. Other services
-- write them.
--
-- PostgreSQL lets a role lock a row only if it may update one of its columns. The service locks
-- subscribers and sell plans while it deletes the external params that are set on them, and must
-- not change them. So it is granted the column "held", and no other: the column is always null.
-- (Customers have such a column already: "live" is generated, and takes only its default.)

create table subscriber (
  id uuid primary key,
  customer_id uuid not null references customer (id),
  name text not null,
  created_at timestamptz not null default now(),
  deleted_at timestamptz,
  held boolean,

  constraint subscriber_held_is_null check (held is null)
);

create index subscriber_customer_id_idx on subscriber (customer_id);

create trigger subscriber_deleted_once
  after update on subscriber
  for each row
  when (old.deleted_at is not null and (new.id, new.deleted_at) is distinct from (old.id, old.deleted_at))
  execute function deleted_once();

comment on table subscriber is 'The user of a SIM. Written by other services.';
comment on column subscriber.id is 'The subscriber''s id on the platform.';
comment on column subscriber.customer_id is 'The customer whose subscriber it is.';
comment on column subscriber.name is 'A label for people.';
comment on column subscriber.created_at is 'When it was created.';
comment on column subscriber.deleted_at is 'Null while the subscriber is live.';
comment on column subscriber.held is 'Always null. The right to update it is the right to lock the row. It has nothing to do with legal holds.';

create view live_subscriber with (security_barrier) as
select
  subscriber.id,
  subscriber.customer_id,
  subscriber.name,
  subscriber.created_at
from subscriber
where subscriber.deleted_at is null;

comment on view live_subscriber is 'Subscribers that are not deleted.';

create table sell_plan (
  id uuid primary key,
  customer_id uuid not null references customer (id),
  name text not null,
  created_at timestamptz not null default now(),
  deleted_at timestamptz,
  held boolean,

  constraint sell_plan_held_is_null check (held is null)
);

create index sell_plan_customer_id_idx on sell_plan (customer_id);

create trigger sell_plan_deleted_once
  after update on sell_plan
  for each row
  when (old.deleted_at is not null and (new.id, new.deleted_at) is distinct from (old.id, old.deleted_at))
  execute function deleted_once();

comment on table sell_plan is 'A plan that a customer sells. Written by other services.';
comment on column sell_plan.id is 'The sell plan''s id on the platform.';
comment on column sell_plan.customer_id is 'The customer whose sell plan it is.';
comment on column sell_plan.name is 'A label for people.';
comment on column sell_plan.created_at is 'When it was created.';
comment on column sell_plan.deleted_at is 'Null while the sell plan is live.';
comment on column sell_plan.held is 'Always null. The right to update it is the right to lock the row. It has nothing to do with legal holds.';

create view live_sell_plan with (security_barrier) as
select
  sell_plan.id,
  sell_plan.customer_id,
  sell_plan.name,
  sell_plan.created_at
from sell_plan
where sell_plan.deleted_at is null;

comment on view live_sell_plan is 'Sell plans that are not deleted.';

insert into schema_version (version, oldest_build) values (8, 12);
