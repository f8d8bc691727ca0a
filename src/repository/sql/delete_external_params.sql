-- delete_external_params: deletes external params of the requester and records the operation, or changes nothing.
--
-- $1 operation  $2 requester  $3 customer  $4 instances (ascending, each once)  $5 idempotency key or null
-- $6 whether the operation is recorded already, as open: then who calls ends it, in the same transaction
with
  -- An earlier call under the same key has the answer; this one changes nothing.
  replayed as materialized (
    select operation.id
    from operation
    where operation.requester_id = $2
      and operation.idempotency_key = $5
  ),
  -- At depth 0 the customer is the requester, and there is no path to walk. It is held until this transaction ends: whoever
  -- wants to delete it waits.
  scope as materialized (
    select customer.id
    from customer
    where customer.id = $3
      and $3 = $2
      and customer.deleted_at is null
      and not exists (select from replayed)
    for key share
  ),
  -- What the instances are set on, as far as it is the customer's own, held like the customer and before any instance: an
  -- entity that is moved or deleted meanwhile falls out.
  own_sub_customer as materialized (
    select customer.id
    from customer
    where customer.id = any (array(
        select external_params.sub_customer_id
        from external_params
        where external_params.id = any($4)
          and (external_params.customer_id = $3) is true
      ))
      and (customer.parent_id = $3) is true
      and customer.deleted_at is null
      and (select count(*) from scope) = 1
    order by customer.id
    for key share
  ),
  own_subscriber as materialized (
    select subscriber.id
    from subscriber
    where subscriber.id = any (array(
        select external_params.subscriber_id
        from external_params
        where external_params.id = any($4)
          and (external_params.customer_id = $3) is true
      ))
      and (subscriber.customer_id = $3) is true
      and subscriber.deleted_at is null
      and (select count(*) from scope) = 1
    order by subscriber.id
    for share
  ),
  own_sell_plan as materialized (
    select sell_plan.id
    from sell_plan
    where sell_plan.id = any (array(
        select external_params.sell_plan_id
        from external_params
        where external_params.id = any($4)
          and (external_params.customer_id = $3) is true
      ))
      and (sell_plan.customer_id = $3) is true
      and sell_plan.deleted_at is null
      and (select count(*) from scope) = 1
    order by sell_plan.id
    for share
  ),
  -- Locked in the order of their ids, so that calls over the same rows wait for each other instead of deadlocking. The
  -- count comes first: nothing waits for a row before the customer is held.
  target as materialized (
    select external_params.id
    from external_params
    where (select count(*) from scope) = 1
      and external_params.id = any($4)
      -- "is true" keeps this a filter: as an index condition it makes the planner read everything of the customer.
      and (external_params.customer_id = $3) is true
      and external_params.deleted_at is null
      and (
        external_params.sub_customer_id in (select own_sub_customer.id from own_sub_customer)
        or external_params.subscriber_id in (select own_subscriber.id from own_subscriber)
        or external_params.sell_plan_id in (select own_sell_plan.id from own_sell_plan)
      )
    order by external_params.id
    for no key update
  ),
  deleted as (
    update external_params
    set deleted_at = now(), deleted_by = $1
    where (select count(*) from target) = cardinality($4)
      and external_params.id = any($4)
      and (external_params.customer_id = $3) is true
    returning external_params.id
  ),
  -- The table's own check holds deleted_rows to the number of ids: what is recorded here is all of them, or an error.
  recorded as (
    insert into operation (
      id, requester_id, customer_id, resource, target_ids, status, deleted_rows, idempotency_key, completed_at
    )
    select $1, $2, $3, 'external-params', $4, 'SUCCESS', count(deleted.id), $5, clock_timestamp()
    from deleted
    where not $6
    having count(deleted.id) > 0
    returning operation.id
  )
select
  (select count(*) from deleted) as "deleted_rows!",
  (select replayed.id from replayed) as "replayed: uuid::Uuid"
