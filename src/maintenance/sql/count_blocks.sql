-- count_blocks: the number of blocks of a table.
--
-- $1 table
select (pg_relation_size(to_regclass($1)) / current_setting('block_size')::bigint)::bigint as "blocks!"
