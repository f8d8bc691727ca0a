-- erase_restorations: erases the records of restores whose operation is erased. A record stays
-- while its customer or its requester is under legal hold.
--
-- $1 restorations
delete from restoration
where restoration.id = any($1)
  and not exists (
    select
    from operation
    where operation.id = restoration.operation_id
  )
  and not exists (
    select
    from legal_hold
    where legal_hold.customer_id in (restoration.customer_id, restoration.requester_id)
      and legal_hold.released_at is null
  )
returning restoration.id
