-- Every object of the schema as PostgreSQL describes it, without the table of sqlx.
with own_table as (
  select pg_class.oid, pg_class.relname, pg_class.relkind, pg_class.reloptions, pg_class.relreplident
  from pg_class
  where pg_class.relnamespace = 'public'::regnamespace
    and pg_class.relname !~ '^_sqlx_migrations'
)
select format('%s %s %s %s', relkind, relname, reloptions, relreplident) from own_table
union all
select format(
  'column %s.%s %s %s %s %s %s',
  own_table.relname,
  attname,
  format_type(atttypid, atttypmod),
  attnotnull,
  attgenerated,
  pg_get_expr(adbin, adrelid),
  col_description(own_table.oid, attnum)
)
from own_table
join pg_attribute on attrelid = own_table.oid and attnum > 0 and not attisdropped
left join pg_attrdef on adrelid = attrelid and adnum = attnum
union all
select format('%s %s', pg_get_indexdef(indexrelid), indisvalid) from pg_index join own_table on own_table.oid = indexrelid
union all
select format('%s on %s: %s %s', conname, conrelid::regclass, pg_get_constraintdef(oid), convalidated)
from pg_constraint
where connamespace = 'public'::regnamespace
  and conname !~ '^_sqlx_migrations'
union all
select format('%s %s', pg_get_triggerdef(pg_trigger.oid), tgenabled)
from pg_trigger
join own_table on own_table.oid = tgrelid
where not tgisinternal
union all
select format(
  '%s executed by anybody: %s %s',
  pg_get_functiondef(oid),
  has_function_privilege('public', oid, 'execute'),
  obj_description(oid, 'pg_proc')
)
from pg_proc
where pronamespace = 'public'::regnamespace
union all
select format('type %s %s %s', typname, array(select enumlabel from pg_enum where enumtypid = pg_type.oid order by enumsortorder),
  obj_description(oid, 'pg_type'))
from pg_type
where typnamespace = 'public'::regnamespace
  and typtype not in ('c', 'b')
union all
select format('comment on %s: %s', relname, obj_description(oid, 'pg_class')) from own_table
union all
select pg_get_viewdef(oid) from own_table where relkind in ('v', 'm')
union all
select format(
  'publication %s %s %s %s %s %s',
  pubname,
  pubinsert,
  pubupdate,
  pubdelete,
  pubtruncate,
  obj_description(oid, 'pg_publication')
)
from pg_publication
union all
-- PostgreSQL lists the columns in the order of the table, and a column that was added again comes last.
select format('%s publishes %s %s %s', pubname, tablename, array(select unnest(attnames) order by 1), rowfilter)
from pg_publication_tables
order by 1
