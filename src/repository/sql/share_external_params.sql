-- share_external_params: deletes external params of requesters for several calls and records their operations; each call has all of its own deleted or none.
--
-- $1 operations  $2 requesters  $3 customers, one each a call  $4 instances (each once in all)  $5 the operation of each of them
--
-- It waits for nobody. What another transaction holds is passed over, and a call that does not get all that it needs is left
-- as it was. The result names the calls that are done.
with
  -- A lock that cannot be passed over ends the statement soon: of a customer whose name and then parent one open transaction
  -- has changed, for example.
  patience as materialized (
    select set_config('lock_timeout', '50ms', true)
  ),
  call as materialized (
    select sent.operation_id, sent.requester_id, sent.customer_id
    from unnest($1::uuid[], $2::uuid[], $3::uuid[]) as sent (operation_id, requester_id, customer_id)
    where (select count(*) from patience) = 1
  ),
  -- At depth 0 the customer is the requester, and there is no path to walk. It is held until this transaction ends.
  scope as materialized (
    select call.operation_id, call.requester_id, call.customer_id
    from call
    cross join lateral (
      select
      from customer
      where customer.id = call.customer_id
        and call.customer_id = call.requester_id
        and customer.deleted_at is null
      for key share skip locked
    ) as customer
  ),
  -- Each id is looked up and locked by itself, after the customers of its call are held, and after what the instance is set on
  -- is held as far as it is the customer's own.
  target as materialized (
    select scope.operation_id, scope.requester_id, scope.customer_id, wanted.id, locked.id is not null as is_locked
    from scope
    join unnest($4::uuid[], $5::uuid[]) as wanted (id, operation_id) on wanted.operation_id = scope.operation_id
    left join lateral (
      select external_params.sub_customer_id, external_params.subscriber_id, external_params.sell_plan_id
      from external_params
      where external_params.id = wanted.id
      limit 1
    ) as found on true
    left join lateral (
      select customer.id
      from customer
      where customer.id = found.sub_customer_id
        and (customer.parent_id = scope.customer_id) is true
        and customer.deleted_at is null
      for key share skip locked
    ) as own_sub_customer on true
    left join lateral (
      select subscriber.id
      from subscriber
      where subscriber.id = found.subscriber_id
        and (subscriber.customer_id = scope.customer_id) is true
        and subscriber.deleted_at is null
      for share skip locked
    ) as own_subscriber on true
    left join lateral (
      select sell_plan.id
      from sell_plan
      where sell_plan.id = found.sell_plan_id
        and (sell_plan.customer_id = scope.customer_id) is true
        and sell_plan.deleted_at is null
      for share skip locked
    ) as own_sell_plan on true
    left join lateral (
      select external_params.id
      from external_params
      where external_params.id = wanted.id
        and (external_params.customer_id = scope.customer_id) is true
        and external_params.deleted_at is null
        and (
          external_params.sub_customer_id = own_sub_customer.id
          or external_params.subscriber_id = own_subscriber.id
          or external_params.sell_plan_id = own_sell_plan.id
        )
      for no key update skip locked
    ) as locked on true
  ),
  -- The calls that got every row.
  complete as materialized (
    select target.operation_id, target.requester_id, target.customer_id, array_agg(target.id order by target.id) as ids
    from target
    group by target.operation_id, target.requester_id, target.customer_id
    having bool_and(target.is_locked)
  ),
  deleted as (
    update external_params
    set deleted_at = now(), deleted_by = ($5::uuid[])[array_position($4::uuid[], external_params.id)]
    where external_params.id = any (array(select unnest(complete.ids) from complete))
    returning ($5::uuid[])[array_position($4::uuid[], external_params.id)] as operation_id
  ),
  -- The table's own check holds deleted_rows to the number of ids: what is recorded here is all of them, or an error.
  recorded as (
    insert into operation (id, requester_id, customer_id, resource, target_ids, status, deleted_rows, completed_at)
    select
      complete.operation_id, complete.requester_id, complete.customer_id, 'external-params', complete.ids, 'SUCCESS',
      (select count(*) from deleted where deleted.operation_id = complete.operation_id), clock_timestamp()
    from complete
    returning operation.id
  )
select recorded.id as "id!"
from recorded
