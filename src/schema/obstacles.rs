//! The obstacles to a migration: sessions with a lock, and indexes that an earlier run did not finish.

use std::convert::Infallible;
use std::time::Duration;

use sqlx::migrate::Migration;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};
use tokio::time::sleep;

/// The interval at which a slow migration is checked for sessions that block it.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// The text of a session's statement is not shown, because it may contain personal data.
const BLOCKERS: &str = "
    select format(
      'session %s (%s, %s, %s, transaction open for %s s)',
      pid,
      coalesce(usename, 'no role'),
      coalesce(nullif(application_name, ''), backend_type),
      coalesce(state, 'no state'),
      extract(epoch from clock_timestamp() - xact_start)::bigint
    )
    from pg_stat_activity
    where pid = any (pg_blocking_pids($1))
    order by pid";

/// Reports the sessions for which this session waits, whenever they change. Never ends.
pub async fn tell_of_blockers(
    options: &PgConnectOptions,
    pid: i32,
    title: &str,
    tell: &(dyn Fn(&str) + Sync),
) -> Infallible {
    loop {
        sleep(LOOK_INTERVAL).await;
        // If the check fails, the migration goes on.
        if let Ok(mut connection) = options.connect().await {
            let _ = tell_while_connected(&mut connection, pid, title, tell).await;
        }
    }
}

async fn tell_while_connected(
    connection: &mut PgConnection,
    pid: i32,
    title: &str,
    tell: &(dyn Fn(&str) + Sync),
) -> sqlx::Result<Infallible> {
    let mut told = Vec::new();
    loop {
        let pids: Vec<i32> = sqlx::query_scalar("select unnest(pg_blocking_pids($1)) order by 1")
            .bind(pid)
            .fetch_all(&mut *connection)
            .await?;
        if pids != told {
            let blockers: Vec<String> = sqlx::query_scalar(BLOCKERS).bind(pid).fetch_all(&mut *connection).await?;
            if !blockers.is_empty() {
                tell(&format!("{title} waits for {}", blockers.join(", ")));
            }
            told = pids;
        }
        sleep(LOOK_INTERVAL).await;
    }
}

/// The name of an index, and its quoted name for SQL.
pub type Index = (String, String);

/// The indexes of the migration that an earlier run left half-built, and that no session is building now. Every insert writes
/// such an index, and no query uses it.
pub async fn half_built(connection: &mut PgConnection, migration: &Migration) -> sqlx::Result<Vec<Index>> {
    let mut indexes: Vec<Index> = sqlx::query_as(
        "select pg_class.relname::text, format('%I.%I', pg_namespace.nspname, pg_class.relname)
         from pg_index
         join pg_class on pg_class.oid = pg_index.indexrelid
         join pg_namespace on pg_namespace.oid = pg_class.relnamespace
         where not pg_index.indisvalid
           and pg_class.relkind = 'i'
           and pg_namespace.nspname = current_schema()
           and not exists (
             select from pg_stat_progress_create_index as building where building.index_relid = pg_index.indexrelid
           )",
    )
    .fetch_all(connection)
    .await?;
    indexes.retain(|(name, _)| built_concurrently(migration.sql.as_str()).any(|built| built == name));
    Ok(indexes)
}

/// The names of the indexes that a file builds concurrently.
fn built_concurrently(sql: &str) -> impl Iterator<Item = &str> {
    let code = sql.lines().filter(|line| !line.starts_with("--"));
    code.filter_map(|line| line.split_once("concurrently if not exists ")?.1.split_whitespace().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_indexes_of_a_file_are_those_that_it_builds_concurrently() {
        let sql = "-- no-transaction\n-- create index concurrently if not exists remark on zone\n\
            create index concurrently if not exists zone_idx on zone (name);\n  create unique index concurrently if \
            not exists zone_key\r\n  on zone (id);";
        assert_eq!(built_concurrently(sql).collect::<Vec<_>>(), ["zone_idx", "zone_key"]);
    }
}
