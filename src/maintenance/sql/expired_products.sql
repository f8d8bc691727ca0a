-- expired_products: the rows in a range of blocks that were deleted long ago, whoever deleted them. No index knows them, because one
-- that did would be written by every deletion.
--
-- $1 first block  $2 the block after the last  $3 their age
select product.id
from product
where product.ctid >= ('(' || $1::bigint || ',0)')::tid
  and product.ctid < ('(' || $2::bigint || ',0)')::tid
  and product.deleted_at < $3
order by product.id
