//! No part of a secret setting is in the output, wherever it is in the setting and whatever the level of the log.

use std::time::{Duration, Instant};

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::support::process::{Process, command, output};
use crate::support::service::send;
use crate::support::{TestDatabase, client};

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// URLs with the secret in every part. They are rejected, or lead to no server.
const URLS: [&str; 16] = [
    "postgres://hunter2:p@127.0.0.1:1/app?sslmode=on",
    "postgres://u:hunter2@127.0.0.1:1/app?sslmode=on",
    "postgres://u:12?hunter2@127.0.0.1:1/app",
    "postgres://u:12#hunter2@127.0.0.1:1/app",
    "postgres://u:12/hunter2@127.0.0.1:1/app",
    "postgres://u:12@hunter2@127.0.0.1:1/app?ssl=1",
    "postgres://u:%hunter2@127.0.0.1:1/app",
    "postgres://u:hunter2 3@127.0.0.1:1/app",
    "postgres://u:hunter2:/app",
    "postgres://u:p@127.0.0.1:hunter2/app",
    "postgres://u:p@127.0.0.1:1/hunter2?sslmode=on",
    "postgres://u:p@127.0.0.1:1/app?passwrod=hunter2",
    "postgres://u:p@127.0.0.1:1/app?sslmode=hunter2",
    "postgres://u:p@127.0.0.1:1/app?sslrootcert=hunter2&sslmode=require",
    "host=127.0.0.1 password=hunter2",
    "hunter2://u:hunter2@127.0.0.1:1/app",
];

#[test]
fn a_url_that_is_refused_is_not_shown() {
    // `trace` shows most. The level has the same effect for each URL.
    let at_trace = URLS.map(|url| (url, "trace"));
    let at_each_level = LEVELS.map(|level| (URLS[0], level));
    for (url, level) in at_trace.into_iter().chain(at_each_level) {
        let output = output(
            command(&["serve"])
                .env("DATABASE_URL", url)
                .env("PGPASSWORD", "hunter3")
                .env("CUSTOMER_DELETION__LOG__LEVEL", level)
                .env("CUSTOMER_DELETION__REQUESTER__SOURCE", "header")
                .env("CUSTOMER_DELETION__REQUESTER__HEADER__TRUSTED_PEERS", "127.0.0.0/8"),
        );
        let shown = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{url} {level}: {shown}");
        assert!(!shown.contains("hunter"), "{url} {level}: {shown}");
    }
}

/// Checks each line. With `trace`, these are all messages of the libraries about the settings.
#[tokio::test]
async fn a_service_at_work_shows_no_secret_at_any_level() {
    let database = TestDatabase::migrated().await;
    let role = format!("secretive_{}", Uuid::now_v7().simple());
    let create = format!("create role {role} login password 'hunter2?' in role customer_deletion_service");
    sqlx::raw_sql(AssertSqlSafe(create)).execute(&database.pool).await.unwrap();
    let rest = database.url.split_once('@').unwrap().1.split('?').next().unwrap();
    let home = std::env::temp_dir().join(format!("customer-deletion-{}", Uuid::now_v7()));
    std::fs::create_dir(&home).unwrap();
    for level in LEVELS.into_iter().filter(|level| !matches!(*level, "off" | "error" | "warn")) {
        let settings = [
            ("HOME", home.to_str().unwrap()),
            ("PGPASSWORD", "hunter3"),
            ("CUSTOMER_DELETION__LOG__LEVEL", level),
            ("CUSTOMER_DELETION__REQUESTER__SOURCE", "jwt"),
            ("CUSTOMER_DELETION__REQUESTER__JWT__JWKS_URL", "http://127.0.0.1:1/jwks.json?key=hunter4#hunter5"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1/hunter6?key=hunter7"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hunter8"),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ];
        let url = format!("postgres://{role}:hunter2%3F@{rest}");
        let process = Process::serve_as(&url, &settings);
        let ready = send(client().get(format!("http://{}/health/ready", process.management_address))).await;
        assert!(!ready.text.contains("hunter"), "{}", ready.text);
        send(client().get(format!("http://{}/api/v3/global/call/{role}", process.address))).await;
        let tried = ["the keys of tokens could not be refreshed", "spans could not be sent"];
        let began = Instant::now();
        let log = loop {
            let log = process.log().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            if tried.iter().all(|message| log.contains(message)) {
                break log;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let lines: Vec<_> = log.lines().filter(|line| line.contains("hunter")).collect();
        assert!(lines.is_empty(), "{level}: {lines:#?}");
        assert_eq!(process.complaints(), [""; 0], "{level}");
    }
    std::fs::remove_dir(&home).unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("drop role {role}"))).execute(&database.pool).await.unwrap();
}
