//! Metrics in the format of Prometheus: names, descriptions and counting functions.
//!
//! Names follow Prometheus's conventions: base units, `_total` for counters. Every label has a
//! closed set of values.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use metrics::{
    Counter, Histogram, Label, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;

use crate::closed_set::closed_set;
use crate::operation::Status;
use crate::resource::Resource;

/// Names the metrics and describes them, each in one row.
macro_rules! metrics {
    ($($describe:ident $NAME:ident $name:literal $description:literal)+) => {
        $(const $NAME: &str = $name;)+

        fn describe() {
            $($describe!($NAME, $description);)+
        }
    };
}

metrics! {
    describe_counter REQUESTS "customer_deletion_requests_total"
        "Calls that were answered, by route, method, status and code; the code of a success is empty."
    describe_histogram REQUEST_DURATION "customer_deletion_request_duration_seconds"
        "Time from the head of a request to the head of its answer, without the time that `Prefer: wait=N` waited."
    describe_counter DEFECTS "customer_deletion_defects_total"
        "Answers with 500: defects of this service or its schema."
    describe_counter REQUESTS_ABANDONED "customer_deletion_requests_abandoned_total"
        "Calls that ended before their answer: the client hung up (client), or the connection was closed at its limit (limit)."
    describe_gauge IN_FLIGHT "customer_deletion_requests_in_flight" "Calls under /api/ in flight."
    describe_gauge WAITING "customer_deletion_requests_waiting"
        "Calls with `Prefer: wait=N` that wait for the end of an operation. They are not in flight."
    describe_counter REJECTED "customer_deletion_rejected_total"
        "Calls rejected by a limit: in_flight, large_bodies, long_validations, memory (503; for a large head the connection is closed), rate, rows, portion, queued (429)."
    describe_gauge OPEN_CONNECTIONS "customer_deletion_connections" "Connections of clients that are open, by port."
    describe_counter CONNECTION_LIMIT_REACHED "customer_deletion_connection_limit_reached_total"
        "Connections that arrived at the limit: another connection was closed for each, or the new one was refused. By port."
    describe_counter DELETED_ROWS "customer_deletion_deleted_rows_total" "Rows that were deleted."
    describe_counter OPERATIONS "customer_deletion_operations_total"
        "Operations by their final status, without replays."
    describe_counter REPLAYS "customer_deletion_replays_total"
        "Calls that got a recorded answer for their idempotency key."
    describe_gauge CONNECTIONS "customer_deletion_database_connections"
        "Connections to PostgreSQL that are open for calls; each worker of the queue has one more."
    describe_gauge CONNECTIONS_MAX "customer_deletion_database_connections_max"
        "The largest number of connections to PostgreSQL for calls."
    describe_gauge COMMITS_WAITING "customer_deletion_commits_waiting"
        "Abandoned sessions whose commit waits for a synchronous standby."
    describe_histogram WAIT "customer_deletion_database_wait_seconds" "Wait of calls for a connection."
    describe_counter WAIT_TIMEOUTS "customer_deletion_database_wait_timeouts_total"
        "Calls that got no connection in time."
    describe_counter SHARED_STATEMENTS "customer_deletion_shared_statements_total"
        "Statements that executed several calls together, because these waited for a connection."
    describe_counter SHARED_CALLS "customer_deletion_shared_calls_total"
        "Calls of shared statements: done in the statement, or executed alone because a row was locked or missing."
    describe_counter RETRIES "customer_deletion_database_retries_total"
        "Retries, by the SQLSTATE of the failed try; without one, the connection broke."
    describe_histogram STATEMENT_DURATION "customer_deletion_statement_duration_seconds"
        "Time from sending a statement to its result, or to its cancellation."
    describe_counter JWKS_REFRESHES "customer_deletion_jwks_refreshes_total" "Refreshes of the issuer's keys."
    describe_counter ACCEPTED "customer_deletion_queue_accepted_total" "Calls that were accepted for later execution."
    describe_counter FAILED_ATTEMPTS "customer_deletion_queue_failed_attempts_total"
        "Failed attempts at an accepted operation. Each is followed by another attempt, or by the end of the operation."
    describe_counter GIVEN_UP "customer_deletion_queue_given_up_total"
        "Accepted operations that ended as an internal error, after their last attempt."
    describe_gauge BACKLOG "customer_deletion_queue_operations"
        "Accepted operations that have not ended, of all replicas."
    describe_gauge BACKLOG_AGE "customer_deletion_queue_oldest_age_seconds" "Age of the oldest accepted operation."
    describe_histogram QUEUE_WAIT "customer_deletion_queue_wait_seconds"
        "Time from the acceptance of an operation to its first attempt."
    describe_histogram RUN_DURATION "customer_deletion_queue_run_duration_seconds"
        "Duration of an attempt at an accepted operation."
    describe_gauge READY "customer_deletion_ready" "Whether the last readiness check passed: 1 or 0."
    describe_gauge BUILD_INFO "customer_deletion_build_info" "Always 1; the label has the version."
}

/// In seconds: from the duration of a statement on an idle machine to the duration of the longest
/// call.
const BUCKETS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];

/// The buckets of accepted operations, in seconds.
const LONG_BUCKETS: [f64; 12] = [0.005, 0.025, 0.1, 0.25, 1.0, 2.5, 5.0, 15.0, 30.0, 60.0, 300.0, 1800.0];

/// The interval at which measurements are moved into the buckets. Until then each one takes memory
/// of its own.
pub const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

struct Exporter {
    handle: PrometheusHandle,
    process: Collector,
}

/// The exporter of this process.
static EXPORTER: LazyLock<Exporter> = LazyLock::new(|| {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Full(QUEUE_WAIT.to_owned()), &LONG_BUCKETS))
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Full(RUN_DURATION.to_owned()), &LONG_BUCKETS))
        .expect("there are buckets")
        .install_recorder()
        .expect("nothing else installs a recorder");
    let process = Collector::default();
    process.describe();
    describe();
    start_at_zero();
    Exporter { handle, process }
});

/// Creates every series that has no event yet. `retried` are SQLSTATEs.
pub fn start(retried: &[&'static str]) {
    LazyLock::force(&EXPORTER);
    for sqlstate in [""].iter().chain(retried) {
        counter!(RETRIES, "sqlstate" => *sqlstate).absolute(0);
    }
}

/// The metrics in the text format of Prometheus.
pub fn page() -> String {
    EXPORTER.process.collect();
    EXPORTER.handle.render()
}

/// Moves the measurements into the buckets.
pub fn upkeep() {
    EXPORTER.handle.run_upkeep();
}

/// `rate` does not see the first event of a counter that appears with it. So every counter starts
/// at 0.
fn start_at_zero() {
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1);
    for resource in Resource::ALL.map(Resource::word) {
        for name in [DELETED_ROWS, REPLAYS, SHARED_STATEMENTS, ACCEPTED, FAILED_ATTEMPTS, GIVEN_UP] {
            counter!(name, "resource" => resource).absolute(0);
        }
        drop(histogram!(RUN_DURATION, "resource" => resource));
        for outcome in ["done", "alone"] {
            counter!(SHARED_CALLS, "resource" => resource, "outcome" => outcome).absolute(0);
        }
        for status in [Status::Success, Status::Failure, Status::InternalError] {
            counter!(OPERATIONS, "resource" => resource, "status" => status.word()).absolute(0);
        }
    }
    for limit in Limit::ALL {
        counter!(REJECTED, "limit" => limit.word()).absolute(0);
    }
    for port in Port::ALL {
        counter!(CONNECTION_LIMIT_REACHED, "port" => port.word()).absolute(0);
        gauge!(OPEN_CONNECTIONS, "port" => port.word()).set(0);
    }
    for outcome in ["success", "failure"] {
        counter!(JWKS_REFRESHES, "outcome" => outcome).absolute(0);
    }
    for by in Abandoned::ALL {
        counter!(REQUESTS_ABANDONED, "by" => by.word()).absolute(0);
    }
    drop(histogram!(QUEUE_WAIT));
    for name in [WAIT_TIMEOUTS, DEFECTS] {
        counter!(name).absolute(0);
    }
    for name in [IN_FLIGHT, WAITING, READY, BACKLOG, BACKLOG_AGE] {
        gauge!(name).set(0);
    }
}

/// A call was answered. The route is its pattern, or empty if no route matched. The code of a
/// success is empty.
pub fn request_ended(route: Cow<'static, str>, method: &'static str, status: u16, code: String, took: Duration) {
    if status == 500 {
        counter!(DEFECTS).increment(1);
    }
    // Looking up the two series by their labels would take a thirtieth of the time that the service
    // spends on a call.
    thread_local! {
        static SERIES: RefCell<HashMap<AnswerLabels, (Histogram, Counter)>> = RefCell::default();
    }
    SERIES.with_borrow_mut(|series| {
        let labels = (route, method, status, code);
        let (durations, requests) = series.entry(labels).or_insert_with_key(series_of);
        durations.record(took);
        requests.increment(1);
    });
}

/// The labels of an answered call: route, method, status and code.
type AnswerLabels = (Cow<'static, str>, &'static str, u16, String);

fn series_of((route, method, status, code): &AnswerLabels) -> (Histogram, Counter) {
    let mut labels = vec![
        Label::new("route", route.clone()),
        Label::from_static_parts("method", method),
        Label::new("status", status.to_string()),
    ];
    let durations = histogram!(REQUEST_DURATION, labels.clone());
    labels.push(Label::new("code", code.clone()));
    (durations, counter!(REQUESTS, labels))
}

closed_set! {
    /// The reason why a call has no answer.
    #[derive(Clone, Copy)]
    pub enum Abandoned {
        /// The client hung up.
        ByTheClient = "client",
        /// The connection was closed at the limit of connections.
        AtTheLimit = "limit",
    }
}

/// A connection ended before its call was answered.
pub fn request_abandoned(abandoned: Abandoned) {
    counter!(REQUESTS_ABANDONED, "by" => abandoned.word()).increment(1);
}

/// Counts a call in a gauge as long as this value lives.
pub struct Counted(&'static str);

impl Counted {
    pub fn in_flight() -> Counted {
        Counted::begin(IN_FLIGHT)
    }

    /// A call waits for the end of an operation.
    pub fn waiting() -> Counted {
        Counted::begin(WAITING)
    }

    fn begin(gauge: &'static str) -> Counted {
        gauge!(gauge).increment(1);
        Counted(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        gauge!(self.0).decrement(1);
    }
}

closed_set! {
    /// The limit that rejected a call.
    #[derive(Clone, Copy)]
    pub enum Limit {
        /// Too many calls in flight.
        InFlight = "in_flight",
        /// Too many calls of one requester.
        Rate = "rate",
        /// Too many queued operations of one requester.
        Queued = "queued",
        /// Too many rows that one requester deletes in an hour.
        Rows = "rows",
        /// Too many large bodies.
        LargeBodies = "large_bodies",
        /// Too many long lists in validation.
        LongValidations = "long_validations",
        /// Too many bytes of heads, bodies or answers in memory.
        Memory = "memory",
        /// One requester has used up its part of another limit.
        Portion = "portion",
    }
}

pub fn rejected(limit: Limit) {
    counter!(REJECTED, "limit" => limit.word()).increment(1);
}

closed_set! {
    /// The two ports that clients connect to.
    #[derive(Clone, Copy)]
    pub enum Port {
        Calls = "calls",
        Management = "management",
    }
}

pub fn open_connections(port: Port, open: usize) {
    gauge!(OPEN_CONNECTIONS, "port" => port.word()).set(open as f64);
}

/// A connection arrived at the limit of connections.
pub fn connection_limit_reached(port: Port) {
    counter!(CONNECTION_LIMIT_REACHED, "port" => port.word()).increment(1);
}

/// An operation ended, and deleted so many rows.
pub fn operation_ended(resource: Resource, status: Status, rows: usize) {
    counter!(OPERATIONS, "resource" => resource.word(), "status" => status.word()).increment(1);
    if rows > 0 {
        counter!(DELETED_ROWS, "resource" => resource.word()).increment(rows as u64);
    }
}

pub fn replayed(resource: Resource) {
    counter!(REPLAYS, "resource" => resource.word()).increment(1);
}

/// The abandoned sessions whose commit waits for a synchronous standby.
pub fn commits_waiting(count: usize) {
    gauge!(COMMITS_WAITING).set(count as f64);
}

/// The state of the pool of connections to PostgreSQL.
pub fn database_connections(used: usize, idle: usize, max: usize) {
    gauge!(CONNECTIONS, "state" => "used").set(used as f64);
    gauge!(CONNECTIONS, "state" => "idle").set(idle as f64);
    gauge!(CONNECTIONS_MAX).set(max as f64);
}

/// A call waited for a connection, and got one unless it timed out.
pub fn waited_for_connection(wait: Duration, timed_out: bool) {
    histogram!(WAIT).record(wait);
    if timed_out {
        counter!(WAIT_TIMEOUTS).increment(1);
    }
}

/// A shared statement executed some calls, and left the others to be executed alone.
pub fn shared(resource: Resource, done: usize, alone: usize) {
    counter!(SHARED_STATEMENTS, "resource" => resource.word()).increment(1);
    for (outcome, calls) in [("done", done), ("alone", alone)] {
        counter!(SHARED_CALLS, "resource" => resource.word(), "outcome" => outcome).increment(calls as u64);
    }
}

/// A retry after this SQLSTATE, or without one after a broken connection.
pub fn retried(sqlstate: Option<&str>) {
    counter!(RETRIES, "sqlstate" => sqlstate.unwrap_or_default().to_owned()).increment(1);
}

pub fn statement_ended(statement: &'static str, took: Duration) {
    histogram!(STATEMENT_DURATION, "statement" => statement).record(took);
}

pub fn accepted(resource: Resource) {
    counter!(ACCEPTED, "resource" => resource.word()).increment(1);
}

/// An accepted operation failed at its last attempt.
pub fn given_up(resource: Resource) {
    counter!(GIVEN_UP, "resource" => resource.word()).increment(1);
}

/// The open operations, and the age of the oldest.
pub fn backlog(operations: i64, oldest_seconds: f64) {
    gauge!(BACKLOG).set(operations as f64);
    gauge!(BACKLOG_AGE).set(oldest_seconds);
}

pub fn waited_in_queue(wait: Duration) {
    histogram!(QUEUE_WAIT).record(wait);
}

pub fn attempted(resource: Resource, took: Duration, failed: bool) {
    histogram!(RUN_DURATION, "resource" => resource.word()).record(took);
    if failed {
        counter!(FAILED_ATTEMPTS, "resource" => resource.word()).increment(1);
    }
}

pub fn jwks_refreshed(succeeded: bool) {
    let outcome = if succeeded { "success" } else { "failure" };
    counter!(JWKS_REFRESHES, "outcome" => outcome).increment(1);
}

pub fn ready(ready: bool) {
    gauge!(READY).set(u8::from(ready));
}
