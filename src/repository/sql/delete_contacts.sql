-- delete_contacts: deletes contacts of a sub-customer and records the operation, or
-- changes nothing.
--
-- $1 operation  $2 requester  $3 customer  $4 contacts (ascending, each once)
-- $5 idempotency key or null
-- $6 whether the operation is recorded as open; then the caller ends it in the same transaction
-- $7 actor or null
with recursive
  -- Walks from the customer up to the requester, and locks each customer until the transaction
  -- ends. A concurrent re-parenting or deletion waits. The walk reads the locked version of each
  -- row, so a customer that was just moved or deleted is not found.
  path (id, parent_id, depth) as (
    select null::uuid, $3::uuid, -1
    union all
    select step.id, step.parent_id, path.depth + 1
    from path
    cross join lateral (
      select customer.id, customer.parent_id
      from customer
      where customer.id = path.parent_id
        -- "is true" keeps this a filter, here and below. As an index condition it could read all
        -- children or rows of a customer.
        and (customer.id = $2 or customer.parent_id = $2) is true
        and customer.deleted_at is null
      for key share
    ) as step
    where path.depth < 1
  ),
  -- One pass checks, locks and updates the rows. It waits for no row before the customers are
  -- locked. The index gives the rows in the order of their ids, so that calls about the same rows
  -- wait for each other and never deadlock. The settings of the session switch off every other
  -- plan.
  deleted as (
    update contact
    set deleted_at = now(), deleted_by = $1
    where exists (select from path where path.depth = 1 and path.id = $2)
      and contact.id = any($4)
      and (contact.customer_id = $3 and contact.deleted_at is null) is true
    returning contact.id
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
    select $1, $2, $3, 'contact', $4, 'SUCCESS', counted.rows, $5, $7, clock_timestamp()
    from counted
    where counted.rows > 0
      and not $6
  )
select counted.rows as "deleted_rows!"
from counted
