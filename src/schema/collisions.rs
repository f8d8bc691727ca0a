//! Refuses migrations that would create an object whose name other software already uses.

use sqlx::PgConnection;
use sqlx::migrate::Migration;

use super::SchemaError;

/// The schema for new objects, and the schema in which `schema_version` is found. Other migration
/// tools use that table name too, so its columns are compared with those of the first migration.
const LOCATION: &str = "
    select
      current_schema()::text,
      (
        select nspname::text
        from pg_class
        join pg_namespace on pg_namespace.oid = relnamespace
        where pg_class.oid = to_regclass('schema_version')
      ),
      (
        select count(*) = 3
        from pg_attribute
        where attrelid = to_regclass('schema_version')
          and not attisdropped
          and (attname, atttypid) in (
            ('version', 'bigint'::regtype), ('applied_at', 'timestamptz'::regtype), ('applied_by', 'text'::regtype)
          )
      )";

/// Whether the schema has a `schema_version` of this service. Fails if there is no schema to create
/// objects in, if the table belongs to other software, or if it is in another schema than the one
/// in which migrations would create their objects.
pub async fn has_history(connection: &mut PgConnection) -> Result<bool, SchemaError> {
    let (schema, found_in, is_own): (Option<String>, Option<String>, bool) =
        sqlx::query_as(LOCATION).fetch_one(connection).await?;
    let Some(schema) = schema else { return Err(SchemaError::NoSchema) };
    match found_in {
        Some(found_in) if found_in == schema && is_own => Ok(true),
        Some(found_in) if found_in == schema => Err(collision(schema, vec!["table schema_version".to_owned()])),
        Some(found_in) if is_own => Err(SchemaError::OtherSchema { found_in, schema }),
        // A table of other software, in a schema that is not this service's.
        Some(_) | None => Ok(false),
    }
}

const EXISTING: &str = "
    select current_schema()::text, created.kind || ' ' || created.name
    from (
      select
        listed.kind,
        -- A publication belongs to the database. Outside of public, its name has that of the schema.
        concat(listed.name, '_of_' || case when listed.kind = 'publication' then nullif(current_schema(), 'public') end) as name,
        listed.position
      from unnest($1::text[], $2::text[]) with ordinality as listed (kind, name, position)
    ) as created
    where case created.kind
      when 'function' then to_regprocedure(format('%I.%s', current_schema(), created.name)) is not null
      when 'publication' then exists (select from pg_publication where pubname = created.name::name)
      else to_regclass(format('%I.%I', current_schema(), created.name)) is not null
        or to_regtype(format('%I.%I', current_schema(), created.name)) is not null
    end
    order by created.position";

/// Refuses migrations that would create objects that exist already. It runs before any of them.
pub async fn refuse(connection: &mut PgConnection, pending: &[&Migration]) -> Result<(), SchemaError> {
    let created = pending.iter().flat_map(|migration| created(migration.sql.as_str()));
    let (kinds, names): (Vec<&str>, Vec<&str>) = created.unzip();
    let existing: Vec<(String, String)> =
        sqlx::query_as(EXISTING).bind(kinds).bind(names).fetch_all(connection).await?;
    match existing.first() {
        Some((schema, _)) => {
            let schema = schema.clone();
            Err(collision(schema, existing.into_iter().map(|(_, object)| object).collect()))
        }
        None => Ok(()),
    }
}

fn collision(schema: String, objects: Vec<String>) -> SchemaError {
    SchemaError::Collision { schema, objects: objects.join(", ") }
}

/// Indexes are not checked, because a DBA may have built one before.
const KINDS: [&str; 7] = ["table", "view", "materialized view", "sequence", "type", "function", "publication"];

/// The kind and the name of each object that a file creates, like `table zone`. A statement must
/// begin at the start of a line.
fn created(sql: &str) -> impl Iterator<Item = (&'static str, &str)> {
    sql.lines().filter_map(|line| {
        let rest = line.strip_prefix("create ")?;
        let rest = rest.strip_prefix("unlogged ").unwrap_or(rest);
        KINDS.into_iter().find_map(|kind| {
            let name = rest.strip_prefix(kind)?.strip_prefix(' ')?;
            let end = if kind == "function" { name.find(')').map(|end| end + 1) } else { name.find([' ', '(']) };
            Some((kind, &name[..end.unwrap_or(name.len())]))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_creates_is_read_from_its_lines() {
        let sql = "-- create table remark\r\ncreate table zone (\r\n  id uuid\r\n);\r\ncreate type status as enum ('a');\n\
            create function f() returns trigger\n$$ begin\n  create table inner (id uuid);\nend $$;\n\
            create view live_zone with (security_barrier) as\ncreate publication p\n  for table zone;\n\
            create unlogged table note (\n\
            create index zone_idx on zone (id);\ncreate or replace function f() returns trigger\n";
        let found: Vec<_> = created(sql).collect();
        assert_eq!(
            found,
            [
                ("table", "zone"),
                ("type", "status"),
                ("function", "f()"),
                ("view", "live_zone"),
                ("publication", "p"),
                ("table", "note")
            ]
        );
    }
}
