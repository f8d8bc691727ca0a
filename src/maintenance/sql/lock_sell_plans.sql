-- lock_sell_plans: locks the sell plans that are live, or that were deleted before the rows that
-- refer to them, and returns their ids. A live one cannot be deleted until the transaction ends.
--
-- $1 ids  $2 the operation that deleted the rows that refer to them
select sell_plan.id
from sell_plan
where sell_plan.id = any($1)
  and (
    sell_plan.deleted_at is null
    -- External params of a deleted entity can be deleted, and are restored as they were.
    or sell_plan.deleted_at < (
      select min(external_params.deleted_at)
      from external_params
      where external_params.id = any((select operation.target_ids from operation where operation.id = $2)::uuid[])
    )
  )
order by sell_plan.id
for share
