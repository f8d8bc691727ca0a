-- count_erased: adds to the counts of a purge.
--
-- $1 purge  $2 word  $3 number of rows
update purge
set erased = purge.erased || jsonb_build_object($2::text, coalesce((purge.erased ->> $2)::bigint, 0) + $3::bigint)
where purge.id = $1
