-- The people a customer can be reached by.
--
-- No index mentions deleted_at. One that did, in its columns or in its predicate, would turn every soft delete from a HOT
-- update (which writes no index at all) into one that writes each of them. The free tenth of every page (fillfactor) is
-- where the new version of a deleted row goes.

create table contact (
  id uuid primary key,
  customer_id uuid not null references customer (id),
  type text not null default 'MEMBER',
  role text not null default 'NONE',
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

  constraint contact_type_is_known check (type in ('OWNER', 'MEMBER')),
  constraint contact_role_is_known check (role in ('SELFCARE', 'NONE')),
  constraint contact_has_a_phone check (num_nonnulls(landline, mobile) > 0),
  constraint contact_live_has_no_deleter check (deleted_by is null or deleted_at is not null)
) with (fillfactor = 90);

create index contact_customer_id_idx on contact (customer_id);

create trigger contact_deleted_once
  after update on contact
  for each row
  when (
    old.deleted_at is not null
    and (new.deleted_at is distinct from old.deleted_at or new.deleted_by is distinct from old.deleted_by)
  )
  execute function deleted_once();

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
comment on column contact.deleted_by is 'The operation that deleted it. No foreign key: operations are purged earlier than rows.';

insert into schema_version (version) values (4);
