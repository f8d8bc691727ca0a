-- hold_sell_plans: those of the ids that are live, held so that they stay so until this transaction ends.
--
-- $1 ids
select sell_plan.id
from sell_plan
where sell_plan.id = any($1)
  and sell_plan.deleted_at is null
order by sell_plan.id
for share
