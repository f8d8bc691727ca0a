-- inspect_contacts: reads the facts that decide whether a deletion of contacts is
-- refused.
--
-- $1 requester  $2 customer  $3 contacts
with recursive
  -- Walks from the customer up to the requester, or to the root if the requester is not on the way.
  -- Depth 2 stands for 2 and more, so that the walk ends even in a circle.
  path (id, parent_id, depth) as (
    select customer.id, customer.parent_id, 0
    from customer
    where customer.id = $2
      and customer.deleted_at is null
    union
    select customer.id, customer.parent_id, least(path.depth + 1, 2)
    from path
    join customer on customer.id = path.parent_id
    where path.id <> $1
      and customer.deleted_at is null
  )
select
  (select path.depth from path where path.id = $1) as depth,
  array(
    select wanted.id
    from unnest($3::uuid[]) as wanted (id)
    where not exists (select from contact where contact.id = wanted.id and contact.deleted_at is null)
    order by wanted.id
  ) as "unknown_ids!",
  array(
    select contact.id
    from contact
    where contact.id = any($3)
      and contact.deleted_at is null
      and (contact.customer_id = $2) is not true
    order by contact.id
  ) as "ineligible_ids!",
  array[]::uuid[] as "in_use_ids!",
  array[]::uuid[] as "in_use_by!"
