-- verify_operations: the next operations, each with its disagreement with its rows or with the
-- queue, or null.
--
-- $1 the last id of the page before  $2 how many  $3 after how many ids the page ends
with
  counted as (
    select
      page.*,
      sum(page.deleted_rows) over (order by page.id) - page.deleted_rows as rows_before
    from (
      select
        operation.id,
        operation.requester_id,
        operation.customer_id,
        operation.resource,
        operation.target_ids,
        operation.deleted_rows,
        operation.status
      from operation
      where operation.id > $1
      order by operation.id
      limit $2
    ) as page
  ),
  found as (
    select
      counted.*,
      target.found_rows,
      target.times
    from counted
    -- Each branch looks up the ids in the primary key of its table.
    left join lateral (
      select count(*) as found_rows, count(distinct target.deleted_at) as times
      from (
        select contact.deleted_at
        from contact
        where counted.resource = 'contact'
          and contact.id = any(counted.target_ids)
          and contact.deleted_by = counted.id
        union all
        select address.deleted_at
        from address
        where counted.resource = 'address'
          and address.id = any(counted.target_ids)
          and address.deleted_by = counted.id
        union all
        select external_params.deleted_at
        from external_params
        where counted.resource = 'external-params'
          and external_params.id = any(counted.target_ids)
          and external_params.deleted_by = counted.id
        union all
        select zone.deleted_at
        from zone
        where counted.resource = 'zone'
          and zone.id = any(counted.target_ids)
          and zone.deleted_by = counted.id
        union all
        select product.deleted_at
        from product
        where counted.resource = 'product'
          and product.id = any(counted.target_ids)
          and product.deleted_by = counted.id
      ) as target
    ) as target on counted.status = 'SUCCESS'
    where counted.rows_before < $3
  )
select
  found.id as "id!",
  case
    when found.status = 'OPEN' and operation_queue.operation_id is null then 'open operation that is not queued'
    when found.status = 'OPEN'
      and (operation_queue.requester_id, operation_queue.customer_id) is distinct from (found.requester_id, found.customer_id)
    then 'queued for another requester or customer'
    when found.status <> 'OPEN' and operation_queue.operation_id is not null then 'ended operation that is queued'
    when found.status <> 'SUCCESS' then null
    when restoration.id is not null and found.found_rows = 0 then null
    when restoration.id is not null then 'restored operation with deleted rows'
    when found.found_rows + (
      select coalesce(sum(erasure.erased_rows), 0)
      from erasure
      where erasure.operation_id = found.id
    ) <> cardinality(found.target_ids)
    then 'success without all its rows'
    when found.times > 1 then 'success at more than one time'
  end as disagreement
from found
left join operation_queue on operation_queue.operation_id = found.id
left join restoration on restoration.operation_id = found.id
order by found.id
