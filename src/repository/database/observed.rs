//! The span and the metric of a statement.
//!
//! Names, types and status of the span follow OpenTelemetry's semantic conventions for database
//! clients.

use std::sync::OnceLock;

use sqlx::postgres::PgConnectOptions;
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::failure::Failure;
use crate::sqlstate::sqlstate;
use crate::telemetry::{metrics, traces};

/// The database of this process, for the spans.
static DATABASE: OnceLock<Endpoint> = OnceLock::new();

struct Endpoint {
    namespace: Option<String>,
    /// A host, or the path of a socket.
    address: String,
    port: Option<i64>,
}

/// Sets the database that every span names. A process has only one.
pub fn database_is(options: &PgConnectOptions) {
    DATABASE.get_or_init(|| Endpoint {
        namespace: options.get_database().map(str::to_owned),
        address: options.get_socket().map_or_else(|| options.get_host().to_owned(), |path| path.display().to_string()),
        port: options.get_socket().is_none().then(|| options.get_port().into()),
    });
}

/// Executes the statement of a file in `sql/`, and reports its duration, also if it is cancelled.
pub async fn observed<T>(file: &'static str, statement: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    let name = statement_name(file);
    let span = span(name);
    let mut report = Report { name, began: Instant::now(), span: span.clone(), ended: false };
    let result = statement.instrument(span.clone()).await;
    report.ended = true;
    if let Err(error) = &result {
        let state = sqlstate(error);
        span.record("db.response.status_code", state.as_deref());
        traces::fail(&span, state.as_deref().unwrap_or_else(|| kind(error)));
    }
    result
}

/// A span inside that of a call or of an operation. Upkeep has none: an idle service would export
/// one every second.
fn span(name: &'static str) -> Span {
    if Span::current().is_none() {
        return Span::none();
    }
    let database = DATABASE.get();
    tracing::info_span!(
        target: traces::TARGET,
        "statement",
        otel.kind = "client",
        otel.name = name,
        otel.status_code = Empty,
        db.system.name = "postgresql",
        db.namespace = database.and_then(|endpoint| endpoint.namespace.as_deref()),
        db.query.summary = name,
        db.response.status_code = Empty,
        server.address = database.map(|endpoint| endpoint.address.as_str()),
        server.port = database.and_then(|endpoint| endpoint.port),
        error.type = Empty,
    )
}

/// The `error.type` of a failure to which PostgreSQL gave no code.
fn kind(error: &sqlx::Error) -> &'static str {
    // The first is OpenTelemetry's word for everything else.
    if Failure::of(error).is_defect() { "_OTHER" } else { "connection" }
}

/// `src/repository/sql/delete_contacts.sql` is `delete_contacts`, as `pg_stat_activity` shows it
/// too.
fn statement_name(file: &'static str) -> &'static str {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.strip_suffix(".sql").unwrap_or(name)
}

struct Report {
    name: &'static str,
    began: Instant,
    span: Span,
    ended: bool,
}

impl Drop for Report {
    fn drop(&mut self) {
        metrics::statement_ended(self.name, self.began.elapsed());
        if !self.ended {
            traces::fail(&self.span, traces::CANCELLED);
        }
    }
}
