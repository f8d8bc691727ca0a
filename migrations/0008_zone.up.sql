-- Sets of networks that a customer charges alike.

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

  constraint zone_name_has_1_to_255_characters check (length(name) between 1 and 255),
  constraint zone_country_code_is_alpha_3 check (country_code ~ '^[A-Z]{3}$'),
  constraint zone_plmns_are_five_or_six_digits check (array_to_string(plmns, ',', '?') ~ '^([0-9]{5,6}(,[0-9]{5,6})*)?$'),
  constraint zone_live_has_no_deleter check (deleted_by is null or deleted_at is not null)
) with (fillfactor = 90);

-- A name belongs to one live zone of a customer, and is free again once that zone is deleted. This index mentions
-- deleted_at, so deleting a zone is never a HOT update: the price of the rule. It also serves the look-up of a customer's live
-- zones. The look-up of all of them, which only the erasure of a customer needs, reads the table: another index would be
-- written by every deletion.
create unique index zone_live_name_key on zone (customer_id, name) where deleted_at is null;

create trigger zone_deleted_once
  after update on zone
  for each row
  when (
    old.deleted_at is not null
    and (new.deleted_at is distinct from old.deleted_at or new.deleted_by is distinct from old.deleted_by)
  )
  execute function deleted_once();

comment on table zone is 'A set of mobile networks in one country, under a name.';
comment on column zone.id is 'The zone''s id on the platform.';
comment on column zone.customer_id is 'The customer whose zone it is.';
comment on column zone.name is 'Unique among the live zones of one customer.';
comment on column zone.description is 'Free text.';
comment on column zone.country_code is 'ISO 3166-1 alpha-3.';
comment on column zone.plmns is 'Public land mobile networks: country code and network code together, five or six digits each.';
comment on column zone.created_at is 'When it was created.';
comment on column zone.deleted_at is 'Null while the zone is live; set once, by the deletion.';
comment on column zone.deleted_by is 'The operation that deleted it. No foreign key: operations are purged earlier than rows.';

insert into schema_version (version) values (8);
