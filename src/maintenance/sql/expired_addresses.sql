-- expired_addresses: the expired rows in a range of blocks, including those that other
-- services deleted. They have no index, because every deletion would have to write it.
--
-- $1 first block  $2 the block after the last  $3 deleted before
select address.id
from address
where address.ctid >= ('(' || $1::bigint || ',0)')::tid
  and address.ctid < ('(' || $2::bigint || ',0)')::tid
  and address.deleted_at < $3
order by address.id
