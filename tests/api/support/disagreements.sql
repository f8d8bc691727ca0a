-- How often rows and operations disagree: a row deleted by no successful operation that asked for it, or a successful
-- operation with a row that it did not delete, or deleted at another time; an open operation that nobody will do, or one that
-- waits to be done and has ended.
with row_of as (
  -- The history has every resource: a test sees to that.
  select id, deleted_at, operation_id as deleted_by, resource
  from deletion_history
),
orphan as (
  select row_of.id
  from row_of
  where row_of.deleted_at is not null
    and not exists (
      select
      from operation
      where operation.id = row_of.deleted_by
        and operation.status = 'SUCCESS'
        and operation.resource::text = row_of.resource
        and row_of.id = any (operation.target_ids)
    )
),
torn as (
  select operation.id
  from operation
  left join row_of on row_of.deleted_by = operation.id
  where operation.status = 'SUCCESS'
  group by operation.id
  having count(row_of.id) <> cardinality(operation.target_ids)
    or count(distinct row_of.deleted_at) <> 1
),
empty_handed as (
  select operation.id
  from operation
  join row_of on row_of.deleted_by = operation.id
  where operation.status <> 'SUCCESS'
),
forgotten as (
  select operation.id
  from operation
  full join operation_queue on operation_queue.operation_id = operation.id
  where (operation.status = 'OPEN') is distinct from true and operation_queue.operation_id is not null
    or operation.status = 'OPEN' and operation_queue.operation_id is null
)
select
  (select count(*) from orphan)
  + (select count(*) from torn)
  + (select count(*) from empty_handed)
  + (select count(*) from forgotten)
