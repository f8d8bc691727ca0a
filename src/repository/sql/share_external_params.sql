-- share_external_params: deletes external params of requesters for several calls and records their
-- operations: of each call all or none.
--
-- $1 operations  $2 requesters  $3 customers
-- $4 instances of all calls (each once, ascending within a call)
-- $5, $6 the first and last position of the ids of each call  $7 actors, null or not
--
-- It waits for no row lock. A row that another transaction has locked is skipped, and a call that
-- cannot lock all its rows is left unchanged. The result has the recorded operations.
with
  -- "skip locked" cannot skip every lock. For example, an open transaction may have changed the
  -- name of a customer and then its parent. The timeout ends such a wait.
  patience as materialized (
    select set_config('lock_timeout', '50ms', true)
  ),
  -- At depth 0 the customer is the requester, and there is no path to walk. It is locked until this
  -- transaction ends.
  scope as materialized (
    select call.operation_id, call.requester_id, call.customer_id, ($4::uuid[])[call.first:call.last] as ids
    from unnest($1::uuid[], $2::uuid[], $3::uuid[], $5::integer[], $6::integer[])
      as call (operation_id, requester_id, customer_id, first, last)
    cross join lateral (
      select
      from customer
      where customer.id = call.customer_id
        and call.customer_id = call.requester_id
        and customer.deleted_at is null
      for key share skip locked
    ) as customer
    where exists (select from patience)
  ),
  -- The calls that have locked every row, after their customers. "offset 0" stops the planner from
  -- merging the sub-select, which would take the locks twice.
  complete as materialized (
    select scope.operation_id, scope.requester_id, scope.customer_id, scope.ids, locked.ctids
    from scope
    -- The entities that the instances are set on and that are the customer's own, live or deleted.
    cross join lateral (
      select
        array_agg(external_params.sub_customer_id) as sub_customer_ids,
        array_agg(external_params.subscriber_id) as subscriber_ids,
        array_agg(external_params.sell_plan_id) as sell_plan_ids
      from external_params
      where external_params.id = any (scope.ids)
        and (external_params.customer_id = scope.customer_id) is true
    ) as found
    cross join lateral (
      select
        array(
          select customer.id
          from customer
          where customer.id = any (found.sub_customer_ids)
            and (customer.parent_id = scope.customer_id) is true
          for key share skip locked
        ) as sub_customer_ids,
        array(
          select subscriber.id
          from subscriber
          where subscriber.id = any (found.subscriber_ids)
            and (subscriber.customer_id = scope.customer_id) is true
          for share skip locked
        ) as subscriber_ids,
        array(
          select sell_plan.id
          from sell_plan
          where sell_plan.id = any (found.sell_plan_ids)
            and (sell_plan.customer_id = scope.customer_id) is true
          for share skip locked
        ) as sell_plan_ids
      offset 0
    ) as own
    cross join lateral (
      select array(
        select external_params.ctid
        from external_params
        where external_params.id = any (scope.ids)
          and (
            external_params.customer_id = scope.customer_id
            and external_params.deleted_at is null
            and (
              external_params.sub_customer_id = any (own.sub_customer_ids)
              or external_params.subscriber_id = any (own.subscriber_ids)
              or external_params.sell_plan_id = any (own.sell_plan_ids)
            )
          ) is true
        for no key update skip locked
      ) as ctids
      offset 0
    ) as locked
    where cardinality(locked.ctids) = cardinality(scope.ids)
  ),
  -- The rows are found by their ctid, which no other transaction can change while they are locked.
  -- A row that was changed between the start of this statement and its lock is not found: then all
  -- the calls are rolled back, and run alone.
  deleted as (
    update external_params
    set deleted_at = now(), deleted_by = target.operation_id
    from (select complete.operation_id, unnest(complete.ctids) as row_ctid from complete) as target
    where external_params.ctid = target.row_ctid
    returning external_params.id
  ),
  counted as materialized (
    select (select count(*) from deleted) = (select sum(cardinality(complete.ids)) from complete) as is_whole
  ),
  -- The check of the table compares deleted_rows with the number of ids, so an operation of 0 rows
  -- is an error.
  recorded as (
    insert into operation (
      id, requester_id, customer_id, resource, target_ids, status, deleted_rows, actor, completed_at
    )
    select
      complete.operation_id, complete.requester_id, complete.customer_id, 'external-params', complete.ids, 'SUCCESS',
      case when counted.is_whole then cardinality(complete.ids) else 0 end,
      ($7::text[])[array_position($1::uuid[], complete.operation_id)], clock_timestamp()
    from complete
    cross join counted
    returning operation.id
  )
select recorded.id as "id!"
from recorded
