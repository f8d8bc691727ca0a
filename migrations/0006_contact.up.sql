-- The contact persons of a customer.
--
-- No index mentions deleted_at. One that did, in its columns or in its predicate, would turn every
-- soft delete from a HOT update (which writes no index) into one that writes every index. The free
-- tenth of every page (fillfactor) takes the new version of a deleted row.

create type contact_type as enum ('OWNER', 'MEMBER');
create type contact_role as enum ('SELFCARE', 'NONE');

comment on type contact_type is 'The types of a contact.';
comment on type contact_role is 'SELFCARE: may log in to the self-care portal. NONE: may not.';

create table contact (
  id uuid primary key,
  customer_id uuid not null references customer (id),
  type contact_type not null default 'MEMBER',
  role contact_role not null default 'NONE',
  is_primary boolean not null default false,
  email text not null,
  salutation text,
  first_name text,
  last_name text,
  gender text,
  birthdate date,
  landline text,
  mobile text,
  additional_phone text,
  remarks text,
  created_at timestamptz not null default now(),
  deleted_at timestamptz,
  deleted_by uuid,

  -- One constraint, because each one costs every deletion 2 microseconds. A contact has a phone,
  -- and a live one has no deleter.
  constraint contact_is_valid check (
    (landline is not null or mobile is not null)
    and (deleted_by is null or deleted_at is not null)
  )
) with (fillfactor = 90);

create index contact_customer_id_idx on contact (customer_id);

create trigger contact_deleted_once
  after update on contact
  for each row
  when (old.deleted_at is not null or new.deleted_at <> now())
  execute function deleted_until_restored();

comment on table contact is 'A person to reach for a customer.';
comment on column contact.id is 'The contact''s id on the platform.';
comment on column contact.customer_id is 'The customer whose contact it is.';
comment on column contact.type is 'OWNER or MEMBER.';
comment on column contact.role is 'SELFCARE: may log in to the self-care portal. NONE: may not.';
comment on column contact.is_primary is 'Whether this is the contact to try first.';
comment on column contact.email is 'Personal data.';
comment on column contact.salutation is 'As it stands in a letter.';
comment on column contact.first_name is 'Personal data.';
comment on column contact.last_name is 'Personal data.';
comment on column contact.gender is 'Personal data; free text, as the platform takes it.';
comment on column contact.birthdate is 'Personal data.';
comment on column contact.landline is 'Personal data; a landline or a mobile number is required.';
comment on column contact.mobile is 'Personal data; a landline or a mobile number is required.';
comment on column contact.additional_phone is 'Personal data.';
comment on column contact.remarks is 'Free text; treat it as personal data.';
comment on column contact.created_at is 'When it was created.';
comment on column contact.deleted_at is 'Null while the contact is live; set once, by the deletion.';
comment on column contact.deleted_by is 'The operation that deleted it, which is kept as long as this row. No foreign key: other services delete here too.';

create view live_contact with (security_barrier) as
select
  contact.id,
  contact.customer_id,
  contact.type,
  contact.role,
  contact.is_primary,
  contact.email,
  contact.salutation,
  contact.first_name,
  contact.last_name,
  contact.gender,
  contact.birthdate,
  contact.landline,
  contact.mobile,
  contact.additional_phone,
  contact.remarks,
  contact.created_at
from contact
where contact.deleted_at is null;

comment on view live_contact is 'Contacts that are not deleted.';

insert into schema_version (version, oldest_build) values (6, 12);
