-- Two things, besides a sub-customer, that external params can be set on. Other services write them.

create table subscriber (
  id uuid primary key,
  customer_id uuid not null references customer (id),
  name text not null,
  created_at timestamptz not null default now(),
  deleted_at timestamptz
);

create index subscriber_customer_id_idx on subscriber (customer_id);

create trigger subscriber_deleted_once
  after update on subscriber
  for each row
  when (old.deleted_at is not null and new.deleted_at is distinct from old.deleted_at)
  execute function deleted_once();

comment on table subscriber is 'A SIM''s user. Written by other services.';
comment on column subscriber.id is 'The subscriber''s id on the platform.';
comment on column subscriber.customer_id is 'The customer whose subscriber it is.';
comment on column subscriber.name is 'A label for people.';
comment on column subscriber.created_at is 'When it was created.';
comment on column subscriber.deleted_at is 'Null while the subscriber is live.';

create table sell_plan (
  id uuid primary key,
  customer_id uuid not null references customer (id),
  name text not null,
  created_at timestamptz not null default now(),
  deleted_at timestamptz
);

create index sell_plan_customer_id_idx on sell_plan (customer_id);

create trigger sell_plan_deleted_once
  after update on sell_plan
  for each row
  when (old.deleted_at is not null and new.deleted_at is distinct from old.deleted_at)
  execute function deleted_once();

comment on table sell_plan is 'A plan that a customer sells. Written by other services.';
comment on column sell_plan.id is 'The sell plan''s id on the platform.';
comment on column sell_plan.customer_id is 'The customer whose sell plan it is.';
comment on column sell_plan.name is 'A label for people.';
comment on column sell_plan.created_at is 'When it was created.';
comment on column sell_plan.deleted_at is 'Null while the sell plan is live.';

insert into schema_version (version) values (6);
