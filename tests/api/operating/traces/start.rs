//! Variables of OpenTelemetry that stop the start, or that the log names.

use rstest::rstest;

use crate::support::TestDatabase;
use crate::support::process::{Process, command, output};

/// Every variable and every value is in the table of the unit tests. This test shows that the start uses it.
#[rstest]
#[case::a_protocol("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "must be http/protobuf, and is `grpc`")]
#[case::a_secret_in_an_endpoint("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://me:hunter2@here", "http://collector:4318")]
#[case::an_exporter("OTEL_TRACES_EXPORTER", "console", "must be otlp or none, and is `console`")]
#[case::a_delay("OTEL_BSP_SCHEDULE_DELAY", "0", "must be a whole number from 10 to 60000, and is `0`")]
#[case::a_propagator("OTEL_PROPAGATORS", "b3", "must be tracecontext, or tracecontext,baggage, and is `b3`")]
#[case::a_certificate("OTEL_EXPORTER_OTLP_CERTIFICATE", "/hunter2.pem", "SSL_CERT_FILE")]
fn a_variable_that_cannot_be_followed_stops_the_start(
    #[case] variable: &str,
    #[case] value: &str,
    #[case] problem: &str,
) {
    let mut serve = command(&["serve"]);
    serve
        .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing")
        .env("CUSTOMER_DELETION__REQUESTER__SOURCE", "header")
        .env("CUSTOMER_DELETION__REQUESTER__HEADER__TRUSTED_PEERS", "127.0.0.0/8")
        // An address of no machine, so that a process whose variable is accepted still ends.
        .env("CUSTOMER_DELETION__HTTP__HOST", "192.0.2.1")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
        .env(variable, value);
    let output = output(&mut serve);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(message.starts_with(&format!("customer-deletion: {variable}: ")) && message.contains(problem), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
}

#[tokio::test]
async fn variables_that_change_nothing_are_named_in_the_log() {
    let database = TestDatabase::migrated().await;
    let environment = [
        ("OTEL_METRICS_EXPORTER", "otlp"),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "authorization=hunter2"),
        ("OTEL_COLLECTOR_PORT", "tcp://10.0.0.1:4318"),
    ];
    // Warnings of the start come before the line about listening.
    let log = Process::serve_with(&database.url, &environment).log();
    let warnings = log.iter().filter(|line| line["level"] == "WARN");
    let named: Vec<_> = warnings.filter_map(|line| line["variable"].as_str()).collect();
    assert_eq!(named, ["OTEL_EXPORTER_OTLP_LOGS_HEADERS", "OTEL_METRICS_EXPORTER"]);
    assert!(!format!("{log:?}").contains("hunter2"));
}
