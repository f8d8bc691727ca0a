-- verify_schema: the guards of the schema as PostgreSQL has them, one line each. A trigger that is
-- switched off, a constraint that is not validated and an index that is not valid say so at the end
-- of their line. Of a function, only its meaning counts: not its comments and spaces.
with own as (
  select schema_version.relnamespace as schema
  from pg_class as schema_version
  where schema_version.oid = to_regclass('schema_version')
)
select format(
  '%s%s',
  pg_get_triggerdef(pg_trigger.oid, true),
  case when pg_trigger.tgenabled <> 'O' then ' DISABLED' end
) as "line!"
from pg_trigger
join pg_class on pg_class.oid = pg_trigger.tgrelid
join own on own.schema = pg_class.relnamespace
where not pg_trigger.tgisinternal
union all
-- The triggers by which PostgreSQL keeps a foreign key have names of their own in each database.
select format('foreign key %s on %s DISABLED', pg_constraint.conname, pg_class.relname)
from pg_trigger
join pg_constraint on pg_constraint.oid = pg_trigger.tgconstraint
join pg_class on pg_class.oid = pg_constraint.conrelid
join own on own.schema = pg_class.relnamespace
where pg_trigger.tgisinternal
  and pg_trigger.tgenabled <> 'O'
union all
select format(
  'CONSTRAINT %s ON %s %s',
  pg_constraint.conname,
  pg_class.relname,
  pg_get_constraintdef(pg_constraint.oid, true)
)
from pg_constraint
join pg_class on pg_class.oid = pg_constraint.conrelid
join own on own.schema = pg_class.relnamespace
-- Since PostgreSQL 18, "not null" is a constraint with a name.
where pg_constraint.contype in ('c', 'f', 'p', 'u', 'x')
union all
select format(
  '%s%s',
  pg_get_indexdef(pg_index.indexrelid, 0, true),
  case when not (pg_index.indisvalid and pg_index.indisready and pg_index.indislive) then ' NOT VALID' end
)
from pg_index
join pg_class on pg_class.oid = pg_index.indrelid
join own on own.schema = pg_class.relnamespace
where pg_class.relkind = 'r'
union all
select format(
  'FUNCTION %s(%s) %s search_path %s %s',
  pg_proc.proname,
  pg_get_function_identity_arguments(pg_proc.oid),
  case when pg_proc.prosecdef then 'SECURITY DEFINER' else 'SECURITY INVOKER' end,
  -- The schema's own name differs from one database to another.
  replace(
    coalesce((select option from unnest(pg_proc.proconfig) as option where option like 'search_path=%'), 'missing'),
    own.schema::regnamespace::text,
    'SCHEMA'
  ),
  left(
    encode(
      sha256(convert_to(regexp_replace(regexp_replace(pg_proc.prosrc, '--[^\n]*', '', 'g'), '\s+', ' ', 'g'), 'UTF8')),
      'hex'
    ),
    16
  )
)
from pg_proc
join own on own.schema = pg_proc.pronamespace
order by 1
