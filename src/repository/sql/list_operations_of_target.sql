-- list_operations_of_target: the requester's operation that deleted the row with an id, as a page
-- of a list.
--
-- $1 requester  $2 status or null for all  $3 resource or null for all  $4 size  $5 offset
-- $6 the most that are counted  $7 created at this time or later, or null
-- $8 created before this time, or at it with an id before $9; both null for all
-- $10 customer or null for all  $11 target
--
-- The row names the operation. There is no index from a target to its operations, because every
-- deletion would have to write it.
with
  -- An id is unique within its table only.
  deletion as materialized (
    select contact.deleted_by as id
    from contact
    where contact.id = $11
    union all
    select address.deleted_by
    from address
    where address.id = $11
    union all
    select external_params.deleted_by
    from external_params
    where external_params.id = $11
    union all
    select zone.deleted_by
    from zone
    where zone.id = $11
    union all
    select product.deleted_by
    from product
    where product.id = $11
  ),
  matching as materialized (
    select found.*
    from deletion
    -- One look-up for each: a join could be done by reading all operations in the order of their
    -- ids.
    cross join lateral (
      select
        operation.id,
        operation.requester_id,
        operation.actor,
        operation.customer_id,
        operation.resource::text,
        operation.status,
        operation.error_code,
        operation.created_at,
        operation.completed_at
      from operation
      where operation.id = deletion.id
      limit 1
    ) as found
    where found.requester_id = $1
      and ($2::text is null or found.status = $2)
      and ($3::text is null or found.resource = $3)
      and ($10::uuid is null or found.customer_id = $10)
      and found.created_at >= coalesce($7, '-infinity'::timestamptz)
      and (found.created_at, found.id)
        < (coalesce($8, 'infinity'::timestamptz), coalesce($9, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
  ),
  total as (
    select least(count(*), $6) as operations
    from matching
  ),
  listed as (
    select matching.*
    from matching
    order by matching.created_at desc, matching.id desc
    limit $4
    offset $5
  )
select
  total.operations as "total!",
  listed.id as "id?",
  listed.actor,
  listed.customer_id as "customer_id?",
  listed.resource as "resource?",
  listed.status as "status?",
  listed.error_code,
  listed.created_at as "created_at?",
  listed.completed_at
from total
left join listed on true
order by listed.created_at desc, listed.id desc
