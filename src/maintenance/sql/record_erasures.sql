-- record_erasures: records how many rows of each operation a batch erased.
--
-- $1 purge  $2 for each erased row, the operation that had deleted it
insert into erasure (operation_id, purge_id, erased_rows)
select deleter.id, $1, count(*)
from unnest($2::uuid[]) as deleter (id)
group by deleter.id
on conflict (operation_id, purge_id) do update
set erased_rows = erasure.erased_rows + excluded.erased_rows
