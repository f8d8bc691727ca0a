-- hold_sell_plans: the live ones of the ids. They are locked, so that they stay live until this transaction ends.
--
-- $1 ids
select sell_plan.id
from sell_plan
where sell_plan.id = any($1)
  and sell_plan.deleted_at is null
order by sell_plan.id
for share
