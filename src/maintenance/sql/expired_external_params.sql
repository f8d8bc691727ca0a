-- expired_external_params: the expired rows in a range of blocks, including those that other
-- services deleted. They have no index, because every deletion would have to write it.
--
-- $1 first block  $2 the block after the last  $3 deleted before
select external_params.id
from external_params
where external_params.ctid >= ('(' || $1::bigint || ',0)')::tid
  and external_params.ctid < ('(' || $2::bigint || ',0)')::tid
  and external_params.deleted_at < $3
order by external_params.id
