-- delete_external_params: deletes external params of the requester and records the operation, or
-- changes nothing.
--
-- $1 operation  $2 requester  $3 customer  $4 instances (ascending, each once)
-- $5 idempotency key or null
-- $6 whether the operation is recorded as open; then the caller ends it in the same transaction
-- $7 actor or null
with
  -- At depth 0 the customer is the requester, so there is no path to walk. It is locked until this
  -- transaction ends, and a deletion of it waits.
  scope as materialized (
    select customer.id
    from customer
    where customer.id = $3
      and $3 = $2
      and customer.deleted_at is null
    for key share
  ),
  -- The entities that the instances are set on and that are the customer's own, live or deleted.
  -- They are locked like the customer, and before any instance, so an entity that is moved
  -- meanwhile does not count.
  found as materialized (
    select external_params.sub_customer_id, external_params.subscriber_id, external_params.sell_plan_id
    from external_params
    where external_params.id = any($4)
      and (external_params.customer_id = $3) is true
  ),
  own_sub_customer as materialized (
    select customer.id
    from customer
    where customer.id = any (array(select found.sub_customer_id from found))
      and (customer.parent_id = $3) is true
      and exists (select from scope)
    order by customer.id
    for key share
  ),
  own_subscriber as materialized (
    select subscriber.id
    from subscriber
    where subscriber.id = any (array(select found.subscriber_id from found))
      and (subscriber.customer_id = $3) is true
      and exists (select from scope)
    order by subscriber.id
    for share
  ),
  own_sell_plan as materialized (
    select sell_plan.id
    from sell_plan
    where sell_plan.id = any (array(select found.sell_plan_id from found))
      and (sell_plan.customer_id = $3) is true
      and exists (select from scope)
    order by sell_plan.id
    for share
  ),
  -- One pass checks, locks and updates the rows. It waits for no row before the entities are
  -- locked. The index gives the rows in the order of their ids, so that calls about the same rows
  -- wait for each other and never deadlock. The settings of the session switch off every other
  -- plan.
  deleted as (
    update external_params
    set deleted_at = now(), deleted_by = $1
    where (select count(*) from own_sub_customer)
        + (select count(*) from own_subscriber)
        + (select count(*) from own_sell_plan) > 0
      and external_params.id = any($4)
      and (
        external_params.customer_id = $3
        and external_params.deleted_at is null
        and (
          external_params.sub_customer_id = any (array(select own_sub_customer.id from own_sub_customer))
          or external_params.subscriber_id = any (array(select own_subscriber.id from own_subscriber))
          or external_params.sell_plan_id = any (array(select own_sell_plan.id from own_sell_plan))
        )
      ) is true
    returning external_params.id
  ),
  counted as materialized (
    select count(*) as rows
    from deleted
  ),
  -- The check of the table compares deleted_rows with the number of ids. So a list with rows that
  -- could not be deleted is an error, which rolls back the others.
  recorded as (
    insert into operation (
      id, requester_id, customer_id, resource, target_ids, status, deleted_rows, idempotency_key, actor,
      completed_at
    )
    select $1, $2, $3, 'external-params', $4, 'SUCCESS', counted.rows, $5, $7, clock_timestamp()
    from counted
    where counted.rows > 0
      and not $6
  )
select counted.rows as "deleted_rows!"
from counted
