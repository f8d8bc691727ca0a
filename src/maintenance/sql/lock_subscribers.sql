-- lock_subscribers: locks the subscribers that are live, or that were deleted before the rows that
-- refer to them, and returns their ids. A live one cannot be deleted until the transaction ends.
--
-- $1 ids  $2 the operation that deleted the rows that refer to them
select subscriber.id
from subscriber
where subscriber.id = any($1)
  and (
    subscriber.deleted_at is null
    -- External params of a deleted entity can be deleted, and are restored as they were.
    or subscriber.deleted_at < (
      select min(external_params.deleted_at)
      from external_params
      where external_params.id = any((select operation.target_ids from operation where operation.id = $2)::uuid[])
    )
  )
order by subscriber.id
for share
