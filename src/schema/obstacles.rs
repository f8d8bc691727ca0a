//! The obstacles to a migration: sessions with a lock, and indexes that an earlier run did not
//! finish.

use std::convert::Infallible;
use std::time::Duration;

use sqlx::migrate::Migration;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};
use tokio::time::sleep;

/// The interval at which a slow migration is checked for sessions that block it.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

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
        sleep(CHECK_INTERVAL).await;
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
        sleep(CHECK_INTERVAL).await;
    }
}

/// The name of an index, and its quoted name for SQL.
pub type Index = (String, String);

/// The indexes of the migration that an earlier run left invalid, and that no session is building
/// now. Every insert writes such an index, and no query uses it.
pub async fn half_built(connection: &mut PgConnection, migration: &Migration) -> sqlx::Result<Vec<Index>> {
    let invalid: Vec<(String, String, String)> = sqlx::query_as(
        "select pg_class.relname::text, indexed.relname::text, format('%I.%I', pg_namespace.nspname, pg_class.relname)
         from pg_index
         join pg_class on pg_class.oid = pg_index.indexrelid
         join pg_class as indexed on indexed.oid = pg_index.indrelid
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
    let built = built_concurrently(migration.sql.as_str());
    let ours =
        invalid.into_iter().filter(|(name, table, _)| built.iter().any(|index| (&index.0, &index.1) == (name, table)));
    Ok(ours.map(|(name, _, quoted)| (name, quoted)).collect())
}

/// The indexes that a file builds concurrently, each with its table.
fn built_concurrently(sql: &str) -> Vec<(String, String)> {
    let code: Vec<&str> = sql.lines().filter(|line| !line.starts_with("--")).collect();
    let code = code.join("\n");
    let index = |rest: &str| {
        let mut words = rest.split_whitespace().map(str::to_owned);
        Some((words.next()?, words.nth(1)?))
    };
    code.split("concurrently if not exists ").skip(1).filter_map(index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_indexes_of_a_file_are_those_that_it_builds_concurrently() {
        let sql = "-- no-transaction\n-- create index concurrently if not exists remark on zone\n\
            create index concurrently if not exists zone_idx on zone (name);\n  create unique index concurrently if \
            not exists zone_key\r\n  on zone (id);";
        let built =
            [("zone_idx", "zone"), ("zone_key", "zone")].map(|(name, table)| (name.to_owned(), table.to_owned()));
        assert_eq!(built_concurrently(sql), built);
    }
}
