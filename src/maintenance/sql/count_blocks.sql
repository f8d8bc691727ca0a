-- count_blocks: how many blocks a table has.
--
-- $1 table
select (pg_relation_size(to_regclass($1)) / current_setting('block_size')::bigint)::bigint as "blocks!"
