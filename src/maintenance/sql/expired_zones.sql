-- expired_zones: the expired rows in a range of blocks, including those that other
-- services deleted. They have no index, because every deletion would have to write it.
--
-- $1 first block  $2 the block after the last  $3 deleted before
select zone.id
from zone
where zone.ctid >= ('(' || $1::bigint || ',0)')::tid
  and zone.ctid < ('(' || $2::bigint || ',0)')::tid
  and zone.deleted_at < $3
order by zone.id
