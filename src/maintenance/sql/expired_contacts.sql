-- expired_contacts: the expired rows in a range of blocks, including those that other
-- services deleted. They have no index, because every deletion would have to write it.
--
-- $1 first block  $2 the block after the last  $3 deleted before
select contact.id
from contact
where contact.ctid >= ('(' || $1::bigint || ',0)')::tid
  and contact.ctid < ('(' || $2::bigint || ',0)')::tid
  and contact.deleted_at < $3
order by contact.id
