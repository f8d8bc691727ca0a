-- begin_purge: records that a purge begins.
--
-- $1 purge  $2 kind  $3 the age of rows  $4 the age of operations  $5 what it was asked for
insert into purge (id, kind, rows_before, operations_before, subject_ids)
values ($1, $2, $3, $4, $5)
