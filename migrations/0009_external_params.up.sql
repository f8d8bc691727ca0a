-- The values that a customer keeps, under a name, about one of its sub-customers, subscribers or
-- sell plans.

create table external_params (
  id uuid primary key,
  customer_id uuid not null references customer (id),
  sub_customer_id uuid references customer (id),
  subscriber_id uuid references subscriber (id),
  sell_plan_id uuid references sell_plan (id),
  name text not null,
  value text not null,
  created_at timestamptz not null default now(),
  deleted_at timestamptz,
  deleted_by uuid,

  -- It is set on exactly one entity, and a live one has no deleter.
  constraint external_params_is_valid check (
    (sub_customer_id is not null)::integer
      + (subscriber_id is not null)::integer
      + (sell_plan_id is not null)::integer = 1
    and (deleted_by is null or deleted_at is not null)
  )
) with (fillfactor = 90);

create index external_params_customer_id_idx on external_params (customer_id);

-- Two of the three are null in every row, and no query searches for a null. The predicates leave
-- them out.
create index external_params_sub_customer_id_idx on external_params (sub_customer_id) where sub_customer_id is not null;
create index external_params_subscriber_id_idx on external_params (subscriber_id) where subscriber_id is not null;
create index external_params_sell_plan_id_idx on external_params (sell_plan_id) where sell_plan_id is not null;

create trigger external_params_deleted_once
  after update on external_params
  for each row
  when (old.deleted_at is not null or new.deleted_at <> now())
  execute function deleted_until_restored();

comment on table external_params is 'One instance of external params: a named value that a customer keeps on exactly one entity.';
comment on column external_params.id is 'The instance''s id on the platform.';
comment on column external_params.customer_id is 'The customer that keeps it.';
comment on column external_params.sub_customer_id is 'The customer it is set on, or null.';
comment on column external_params.subscriber_id is 'The subscriber it is set on, or null.';
comment on column external_params.sell_plan_id is 'The sell plan it is set on, or null.';
comment on column external_params.name is 'The name of the param.';
comment on column external_params.value is 'The value of the param.';
comment on column external_params.created_at is 'When it was created.';
comment on column external_params.deleted_at is 'Null while the instance is live; set once, by the deletion.';
comment on column external_params.deleted_by is 'The operation that deleted it, which is kept as long as this row. No foreign key: other services delete here too.';

create view live_external_params with (security_barrier) as
select
  external_params.id,
  external_params.customer_id,
  external_params.sub_customer_id,
  external_params.subscriber_id,
  external_params.sell_plan_id,
  external_params.name,
  external_params.value,
  external_params.created_at
from external_params
where external_params.deleted_at is null;

comment on view live_external_params is 'Instances of external params that are not deleted.';

insert into schema_version (version, oldest_build) values (9, 12);
