-- The postal addresses of a customer. Indexed like contact, for the same reasons.

create table address (
  id uuid primary key,
  customer_id uuid not null references customer (id),
  is_primary boolean not null default false,
  line_1 text not null,
  line_2 text,
  city text not null,
  region text,
  postal_code text,
  country_code text not null,
  created_at timestamptz not null default now(),
  deleted_at timestamptz,
  deleted_by uuid,

  -- The country is three capitals, and a live address has no deleter.
  constraint address_is_valid check (
    country_code ~ '^[A-Z]{3}$'
    and (deleted_by is null or deleted_at is not null)
  )
) with (fillfactor = 90);

create index address_customer_id_idx on address (customer_id);

create trigger address_deleted_once
  after update on address
  for each row
  when (old.deleted_at is not null or new.deleted_at <> now())
  execute function deleted_until_restored();

comment on table address is 'A postal address of a customer.';
comment on column address.id is 'The address''s id on the platform.';
comment on column address.customer_id is 'The customer whose address it is.';
comment on column address.is_primary is 'Whether this is the address to use first.';
comment on column address.line_1 is 'Street and number.';
comment on column address.line_2 is 'Building, floor, care of.';
comment on column address.city is 'City or town.';
comment on column address.region is 'State, province or canton.';
comment on column address.postal_code is 'Postal code, as written in its country.';
comment on column address.country_code is 'ISO 3166-1 alpha-3.';
comment on column address.created_at is 'When it was created.';
comment on column address.deleted_at is 'Null while the address is live; set once, by the deletion.';
comment on column address.deleted_by is 'The operation that deleted it, which is kept as long as this row. No foreign key: other services delete here too.';

create view live_address with (security_barrier) as
select
  address.id,
  address.customer_id,
  address.is_primary,
  address.line_1,
  address.line_2,
  address.city,
  address.region,
  address.postal_code,
  address.country_code,
  address.created_at
from address
where address.deleted_at is null;

comment on view live_address is 'Addresses that are not deleted.';

insert into schema_version (version, oldest_build) values (7, 12);
