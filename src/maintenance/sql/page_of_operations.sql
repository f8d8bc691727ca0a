-- page_of_operations: the next operations in the order of their ids, which is the order in which they were made; with the ids
-- of those whose rows were deleted long enough ago, and were not put back.
--
-- $1 the last id of the page before  $2 where to stop  $3 how many  $4 the age of rows  $5 after how many ids the page ends
with
  page as (
    select
      operation.id,
      operation.resource::text,
      operation.status,
      operation.created_at,
      case
        when operation.status = 'SUCCESS'
          and operation.created_at < $4
          and not exists (
            select
            from restoration
            where restoration.operation_id = operation.id
          )
        then operation.deleted_rows
        else 0
      end as rows
    from operation
    where operation.id > $1
      and operation.id < $2
    order by operation.id
    limit $3
  ),
  counted as (
    select page.*, sum(page.rows) over (order by page.id) - page.rows as rows_before
    from page
  )
select
  counted.id as "id!",
  counted.resource as "resource!",
  -- What is stored apart is fetched for these alone.
  case
    when counted.rows > 0 then (select operation.target_ids from operation where operation.id = counted.id)
    else '{}'
  end as "target_ids!",
  counted.status as "status!",
  counted.created_at as "created_at!"
from counted
where counted.rows_before < $5
order by counted.id
