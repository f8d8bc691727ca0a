-- external_params_of_customer: the deleted rows of a customer, and the live ones too if the customer itself is deleted: those
-- that it keeps, and those that are set on it or on something of its own.
--
-- $1 customer  $2 whether live ones too
select external_params.id
from external_params
where (
    external_params.customer_id = $1
    or external_params.sub_customer_id = $1
    or external_params.subscriber_id in (select subscriber.id from subscriber where subscriber.customer_id = $1)
    or external_params.sell_plan_id in (select sell_plan.id from sell_plan where sell_plan.customer_id = $1)
  )
  and ($2 or external_params.deleted_at is not null)
order by external_params.id
