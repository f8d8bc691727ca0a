-- hold_subscribers: those of the ids that are live, or were deleted before the rows that refer to them. They are locked, so that they
-- stay live until this transaction ends.
--
-- $1 ids  $2 the operation that deleted the rows that refer to them
select subscriber.id
from subscriber
where subscriber.id = any($1)
  and (
    subscriber.deleted_at is null
    -- External params of a deleted entity can be deleted. They come back as they were.
    or subscriber.deleted_at < (
      select min(external_params.deleted_at)
      from external_params
      where external_params.id = any((select operation.target_ids from operation where operation.id = $2)::uuid[])
    )
  )
order by subscriber.id
for share
