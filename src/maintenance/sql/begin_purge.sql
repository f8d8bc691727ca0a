-- begin_purge: records that a purge begins.
--
-- $1 purge  $2 kind  $3 the time before which rows were deleted
-- $4 the time before which operations were made
-- $5 the customer, the operation or the rows that it was asked for
insert into purge (id, kind, rows_before, operations_before, subject_ids)
values ($1, $2, $3, $4, $5)
