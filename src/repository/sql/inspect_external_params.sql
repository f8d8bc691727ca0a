-- inspect_external_params: reads the facts that decide whether a deletion of external params is
-- refused.
--
-- $1 requester  $2 customer  $3 instances
with recursive
  -- Walks from the customer up to the requester, or to the root if the requester is not on the way.
  -- Depth 2 stands for 2 and more, so that the walk ends even in a circle.
  path (id, parent_id, depth) as (
    select customer.id, customer.parent_id, 0
    from customer
    where customer.id = $2
      and customer.deleted_at is null
    union
    select customer.id, customer.parent_id, least(path.depth + 1, 2)
    from path
    join customer on customer.id = path.parent_id
    where path.id <> $1
      and customer.deleted_at is null
  )
select
  (select path.depth from path where path.id = $1) as depth,
  array(
    select wanted.id
    from unnest($3::uuid[]) as wanted (id)
    where not exists (select from external_params where external_params.id = wanted.id and external_params.deleted_at is null)
    order by wanted.id
  ) as "unknown_ids!",
  array(
    select external_params.id
    from external_params
    where external_params.id = any($3)
      and external_params.deleted_at is null
      and (
        (external_params.customer_id = $2) is not true
        or not (
          exists (
            select
            from customer
            where customer.id = external_params.sub_customer_id
              -- "is true" keeps this a filter: as an index condition it makes the planner read
              -- everything of the customer.
              and (customer.parent_id = $2) is true
          )
          or exists (
            select
            from subscriber
            where subscriber.id = external_params.subscriber_id
              and (subscriber.customer_id = $2) is true
          )
          or exists (
            select
            from sell_plan
            where sell_plan.id = external_params.sell_plan_id
              and (sell_plan.customer_id = $2) is true
          )
        )
      )
    order by external_params.id
  ) as "ineligible_ids!",
  array[]::uuid[] as "in_use_ids!",
  array[]::uuid[] as "in_use_by!"
