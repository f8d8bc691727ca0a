-- Sets of networks for which a customer charges the same.

create table zone (
  id uuid primary key,
  customer_id uuid not null references customer (id),
  name text not null,
  description text,
  country_code text not null,
  plmns text[] not null default '{}',
  created_at timestamptz not null default now(),
  deleted_at timestamptz,
  deleted_by uuid,

  -- The name has 1 to 255 characters, the country is three capitals, each network has five or six
  -- digits, and a live zone has no deleter.
  constraint zone_is_valid check (
    length(name) between 1 and 255
    and country_code ~ '^[A-Z]{3}$'
    and array_to_string(plmns, ',', '?') ~ '^([0-9]{5,6}(,[0-9]{5,6})*)?$'
    and (deleted_by is null or deleted_at is not null)
  )
) with (fillfactor = 90);

-- A name belongs to one live zone of a customer, and is free again once that zone is deleted. This
-- index mentions deleted_at, so deleting a zone is never a HOT update. It also finds the live zones of
-- a customer. Nothing finds the deleted ones, because every deletion would have to write an index for
-- that. Only the erasure of a customer needs them, and reads the table.
create unique index zone_live_name_key on zone (customer_id, name) where deleted_at is null;

create trigger zone_deleted_once
  after update on zone
  for each row
  when (old.deleted_at is not null or new.deleted_at <> now())
  execute function deleted_until_restored();

comment on table zone is 'A set of mobile networks in one country, under a name.';
comment on column zone.id is 'The zone''s id on the platform.';
comment on column zone.customer_id is 'The customer whose zone it is.';
comment on column zone.name is 'Unique among the live zones of one customer.';
comment on column zone.description is 'Free text.';
comment on column zone.country_code is 'ISO 3166-1 alpha-3.';
comment on column zone.plmns is 'Public land mobile networks: country code and network code together, five or six digits each.';
comment on column zone.created_at is 'When it was created.';
comment on column zone.deleted_at is 'Null while the zone is live; set once, by the deletion.';
comment on column zone.deleted_by is 'The operation that deleted it, which is kept as long as this row. No foreign key: other services delete here too.';

create view live_zone with (security_barrier) as
select
  zone.id,
  zone.customer_id,
  zone.name,
  zone.description,
  zone.country_code,
  zone.plmns,
  zone.created_at
from zone
where zone.deleted_at is null;

comment on view live_zone is 'Zones that are not deleted.';

insert into schema_version (version, oldest_build) values (10, 12);
