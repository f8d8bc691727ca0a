-- verify_restorations: the next records of restores, each with its disagreement with the operation
-- that it restored, or null.
--
-- A restored operation may be purged before the record of its restore. Its id is a UUID of version
-- 7, which begins with the milliseconds of its creation: a purge of operations up to that time
-- explains why it is missing. So does a replay that erased operations: the ledger says which, and
-- the database does not.
--
-- $1 the last id of the page before  $2 how many
select
  restoration.id as "id!",
  case
    when operation.id is not null then
      case
        when operation.status <> 'SUCCESS'
          or operation.resource <> restoration.resource
          or operation.requester_id <> restoration.requester_id
          or operation.customer_id <> restoration.customer_id
          or operation.target_ids <> restoration.restored_ids
        then 'restoration of something else than its operation'
      end
    when not exists (
      select
      from purge
      where (
          purge.kind = 'age'
          -- The clock that made the id may be ahead of the database's by a day.
          and least(purge.operations_before, purge.rows_before) + interval '1 day' > to_timestamp(
            ('x' || left(replace(restoration.operation_id::text, '-', ''), 12))::bit(48)::bigint / 1000.0
          )
        )
        or (
          purge.kind = 'replay'
          and (purge.erased ->> 'operation')::bigint > 0
          and purge.started_at > restoration.restored_at
        )
    )
    then 'restoration of an unknown operation'
  end as disagreement
from restoration
left join operation on operation.id = restoration.operation_id
where restoration.id > $1
order by restoration.id
limit $2
