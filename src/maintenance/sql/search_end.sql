-- search_end: the oldest of the next operations to search, from newer to older ones.
--
-- $1 the oldest that was searched before  $2 how many
select page.id
from (
  select operation.id
  from operation
  where operation.id < $1
  order by operation.id desc
  limit $2
) as page
order by page.id
limit 1
