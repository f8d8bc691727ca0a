-- check_role: whether the session's role may do more than a service should, and what it may not do that this one must.
--
-- Who may become another role may do what that role may. Tables that are not there yet are left out.
select
  session_user as "name!",
  exists (
    select
    from pg_roles
    where pg_roles.rolsuper
      and pg_has_role(session_user, pg_roles.oid, 'member')
  ) as "superuser!",
  exists (
    select
    from unnest(array[
      'schema_version', 'customer', 'contact', 'address', 'subscriber', 'sell_plan', 'external_params', 'zone', 'product',
      'product_allocation', 'operation', 'operation_queue'
    ]) as own (name)
    join pg_class on pg_class.oid = to_regclass(own.name)
    where pg_has_role(session_user, pg_class.relowner, 'member')
  ) as "owner!",
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
        ('operation_queue', 'select'), ('operation_queue', 'insert'), ('operation_queue', 'update'), ('operation_queue', 'delete')
    ) as needed (name, privilege)
    where not case needed.privilege
      -- A privilege of whole rows.
      when 'delete' then has_table_privilege(to_regclass(needed.name), needed.privilege)
      else has_any_column_privilege(to_regclass(needed.name), needed.privilege)
    end
  ) as "missing!"
