-- check_role: the name of the session's role, a power that the service must not have, and the
-- privileges that it lacks.
--
-- A role has the powers of every role that it may become. Tables that do not exist yet are left
-- out.
with
  own as (
    select
      pg_class.relname,
      pg_class.relowner,
      pg_class.relacl
    from unnest(array[
      'schema_version', 'customer', 'customer_tree', 'contact', 'address', 'subscriber', 'sell_plan', 'external_params',
      'zone', 'product', 'product_allocation', 'operation', 'operation_queue', 'restoration', 'purge', 'erasure', 'legal_hold',
      'legal_hold_count'
    ]) as own (name)
    join pg_class on pg_class.oid = to_regclass(own.name)
  )
select
  session_user as "name!",
  (
    select power.name
    from (
      select 1 as rank, 'a superuser' as name, pg_roles.oid
      from pg_roles
      where pg_roles.rolsuper
      union all
      select 2, 'the owner of the tables', own.relowner
      from own
      union all
      select 3, 'the owner of the schema', pg_namespace.nspowner
      from pg_namespace
      where pg_namespace.nspname = current_schema()
      union all
      select 3, 'the owner of the database', pg_database.datdba
      from pg_database
      where pg_database.datname = current_database()
      union all
      -- Each of these leads to the data of all tables, or to the operating system.
      select 4, 'a member of ' || pg_roles.rolname, pg_roles.oid
      from pg_roles
      where pg_roles.rolname in (
        'pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files', 'pg_read_all_data', 'pg_write_all_data',
        'customer_deletion_maintenance'
      )
      union all
      select 5, 'a role with ' || attribute.name, pg_roles.oid
      from pg_roles
      cross join lateral (
        values
          ('CREATEROLE', pg_roles.rolcreaterole),
          ('BYPASSRLS', pg_roles.rolbypassrls),
          ('REPLICATION', pg_roles.rolreplication)
      ) as attribute (name, has)
      where attribute.has
      union all
      -- A role with TRIGGER could add a trigger, which a restore would run with the rights of the
      -- owner.
      select 6, 'a role with ' || acl.privilege_type || ' on ' || own.relname, acl.grantee
      from own
      cross join lateral aclexplode(own.relacl) as acl
      where acl.privilege_type in ('TRIGGER', 'DELETE', 'TRUNCATE')
        and (own.relname, acl.privilege_type) <> ('operation_queue', 'DELETE')
    ) as power
    -- 0 is PUBLIC.
    where power.oid = 0
      or pg_has_role(session_user, power.oid, 'member')
    order by power.rank, power.name
    limit 1
  ) as power,
  array(
    select needed.privilege || ' on ' || needed.name
    from (
      values
        ('customer', 'select'), ('customer', 'update'),
        ('contact', 'select'), ('contact', 'update'),
        ('address', 'select'), ('address', 'update'),
        ('subscriber', 'select'), ('subscriber', 'update'),
        ('sell_plan', 'select'), ('sell_plan', 'update'),
        ('external_params', 'select'), ('external_params', 'update'),
        ('zone', 'select'), ('zone', 'update'),
        ('product', 'select'), ('product', 'update'),
        ('product_allocation', 'select'),
        ('operation', 'select'), ('operation', 'insert'), ('operation', 'update'),
        ('operation_queue', 'select'), ('operation_queue', 'insert'), ('operation_queue', 'update'), ('operation_queue', 'delete'),
        ('restoration', 'select')
    ) as needed (name, privilege)
    where not case needed.privilege
      -- A privilege of whole rows.
      when 'delete' then has_table_privilege(to_regclass(needed.name), needed.privilege)
      else has_any_column_privilege(to_regclass(needed.name), needed.privilege)
    end
  ) as "missing!"
