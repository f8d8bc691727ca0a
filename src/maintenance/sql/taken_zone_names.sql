-- taken_zone_names: the deleted zones whose name another zone of their customer has now.
--
-- $1 zones
select
  zone.id as "id!",
  other.id as "other_id!"
from zone
join zone as other
  on other.customer_id = zone.customer_id
  and other.name = zone.name
  and other.deleted_at is null
where zone.id = any($1)
union all
-- Two deleted zones have one name if one was renamed after its deletion.
select
  zone.id,
  other.id
from zone
join zone as other
  on other.customer_id = zone.customer_id
  and other.name = zone.name
  and other.id <> zone.id
where zone.id = any($1)
  and other.id = any($1)
order by 1, 2
