//! How a statement shows to operators: its span, and its place in the metrics.

use tokio::time::Instant;
use tracing::Instrument;
use tracing::field::Empty;

use super::failure::sqlstate;
use crate::telemetry::{metrics, traces};

/// Does the statement of a file in `sql/`, and reports how long it took; also one that is given up in the middle.
pub async fn observed<T>(
    file: &'static str,
    statement: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let name = statement_name(file);
    let span = tracing::info_span!(
        target: traces::TARGET,
        "statement",
        otel.kind = "client",
        otel.name = name,
        otel.status_code = Empty,
        db.system.name = "postgresql",
        db.query.summary = name,
        db.response.status_code = Empty,
        error.type = Empty,
    );
    let _timer = Timer { name, began: Instant::now() };
    let result = statement.instrument(span.clone()).await;
    if let Err(error) = &result {
        span.record("otel.status_code", "ERROR");
        match sqlstate(error) {
            Some(state) => span.record("db.response.status_code", &*state).record("error.type", &*state),
            None => span.record("error.type", "connection"),
        };
    }
    result
}

/// `src/repository/sql/delete_contacts.sql` is `delete_contacts`, as `pg_stat_activity` shows it too.
fn statement_name(file: &'static str) -> &'static str {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.strip_suffix(".sql").unwrap_or(name)
}

struct Timer {
    name: &'static str,
    began: Instant,
}

impl Drop for Timer {
    fn drop(&mut self) {
        metrics::statement_ended(self.name, self.began.elapsed());
    }
}
