-- measure_queue: the number of accepted operations that have not ended, and the age of the oldest.
select
  (select count(*) from operation_queue) as "operations!",
  coalesce(
    (
      -- The ids begin with the time of the call.
      select extract(epoch from clock_timestamp() - operation_queue.created_at)
      from operation_queue
      order by operation_queue.operation_id
      limit 1
    ),
    0
  )::float8 as "oldest_seconds!"
