-- search_end: the id at which the next page of a search ends: the $2-th newest operation before $1,
-- or the oldest.
--
-- $1 the id at which the page before ended  $2 how many
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
