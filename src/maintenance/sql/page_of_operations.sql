-- page_of_operations: the next operations in the order of their ids, which is the order of time.
-- Target ids are returned only if the rows were deleted long enough ago and were not restored.
--
-- $1 the last id of the page before  $2 the id after the last  $3 the size of the page
-- $4 rows deleted before  $5 the number of target ids after which the page ends
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
  -- Long lists are stored outside the row, and are read for these operations only.
  case
    when counted.rows > 0 then (select operation.target_ids from operation where operation.id = counted.id)
    else '{}'
  end as "target_ids!",
  counted.status as "status!",
  counted.created_at as "created_at!"
from counted
where counted.rows_before < $5
order by counted.id
