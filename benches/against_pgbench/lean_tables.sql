-- The lean reference: the least that PostgreSQL needs for a deletion of contacts, with none of the service's rules.

create table customer (
  id uuid primary key,
  parent_id uuid references customer (id),
  name text not null,
  created_at timestamptz not null default now(),
  deleted_at timestamptz
);

create table contact (
  id uuid primary key,
  customer_id uuid not null,
  first_name text not null,
  last_name text not null,
  email text not null,
  phone text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,
  deleted_by uuid
) with (fillfactor = 90);
create index contact_customer_idx on contact (customer_id);

create table request (
  id uuid primary key default gen_random_uuid(),
  requester uuid not null,
  resource text not null,
  status text not null,
  created_at timestamptz not null default now()
);
