-- The deletion on the lean tables.
--
-- $1 requester  $2 customer  $3 contacts
with auth as materialized (
  select
  from customer c
  join customer p on p.id = c.parent_id
  where c.id = $2 and c.parent_id = $1 and c.deleted_at is null and p.deleted_at is null
),
upd as (
  update contact
  set deleted_at = now(), deleted_by = $1
  where id = any ($3) and (customer_id = $2) is true and deleted_at is null and exists (select from auth)
  returning 1
),
n as (select count(*) as n from upd),
req as (
  insert into request (requester, resource, status)
  select $1, 'contact', 'SUCCESSFUL' from n where n = cardinality($3)
  returning id
)
-- If a contact of the list was not updated, the cast fails, and so does the statement.
select case when n = cardinality($3) then (select id from req) else ('not all: ' || n::text)::uuid end from n
