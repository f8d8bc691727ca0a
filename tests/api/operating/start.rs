//! The binary for operators: its settings, its commands, and its end.

use std::process::Command;
use std::time::{Duration, Instant};

use customer_deletion::config::Settings;
use customer_deletion::resource::Resource;
use customer_deletion::schema;
use customer_deletion::server::{Server, StartError};
use rstest::rstest;

use crate::support::process::{Process, command, limited, output};
use crate::support::service::{collection, hang_up_while_waiting};
use crate::support::{StallWatch, TestDatabase, World, body, client, until};

fn serve() -> Command {
    with_settings(command(&["serve"]))
}

fn with_settings(mut serve: Command) -> Command {
    serve
        .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing")
        .env("CUSTOMER_DELETION__REQUESTER__SOURCE", "header")
        .env("CUSTOMER_DELETION__REQUESTER__HEADER__TRUSTED_PEERS", "127.0.0.0/8")
        .env("CUSTOMER_DELETION__HTTP__PORT", "0")
        .env("CUSTOMER_DELETION__MANAGEMENT__PORT", "0");
    serve
}

/// Starts as the command does, in this process.
#[test]
fn a_bad_or_missing_setting_stops_the_start_and_is_named() {
    for (setting, value) in [
        ("CUSTOMER_DELETION__REQUESTER__SOURCE", ""),
        ("CUSTOMER_DELETION__REQUESTER__SOURCE", "telepathy"),
        ("CUSTOMER_DELETION__REQUESTER__HEADER__TRUSTED_PEERS", ""),
        ("CUSTOMER_DELETION__HTTP__PORT", "http"),
        ("CUSTOMER_DELETION__MANAGEMENT__PORT", "65536"),
        ("CUSTOMER_DELETION__DATABASE__MAX_CONNECTIONS", "0"),
        ("CUSTOMER_DELETION__DATABASE__URL", "here"),
        ("CUSTOMER_DELETION__REQUESTER__HEADER__NAME", "X Requester"),
        ("CUSTOMER_DELETION__HTTP__ALLOWED_HOSTS", ""),
        ("CUSTOMER_DELETION__HTTP__ALLOWED_HOSTS", "localhost:8080"),
        ("CUSTOMER_DELETION_HTTP__PORT", "9000"),
        ("CUSTOMER_DELETION__HTTP__MAX_IN_FLIGHT", "18446744073709551615"),
        ("CUSTOMER_DELETION__HTTP__ALLOWED_ORIGINS", "https://app.example.com/"),
        // Every origin is allowed with tokens only.
        ("CUSTOMER_DELETION__HTTP__ALLOWED_ORIGINS", "*"),
    ] {
        let mut command = serve();
        let variables = command.env(setting, value).get_envs();
        let text = |text: &std::ffi::OsStr| text.to_str().unwrap().to_owned();
        let environment = variables.filter_map(|(name, value)| Some((text(name), text(value?)))).collect();
        let started = Settings::from_environment(environment).map_err(StartError::from).and_then(Server::bind);
        let message = started.err().unwrap_or_else(|| panic!("{setting}={value} starts")).to_string();
        assert!(message.starts_with(&format!("{setting}: ")), "{setting}={value}: {message}");
        assert_eq!(message.lines().count(), 1, "{setting}={value}: {message}");
    }
}

#[rstest]
#[case::no_source("CUSTOMER_DELETION__REQUESTER__SOURCE", "")]
#[case::a_bad_format("CUSTOMER_DELETION__LOG__FORMAT", "poem")]
#[case::a_bad_level("CUSTOMER_DELETION__LOG__LEVEL", "x=y=z")]
#[case::a_word_that_is_no_level("CUSTOMER_DELETION__LOG__LEVEL", "warning")]
#[case::a_missing_file("CUSTOMER_DELETION_CONFIG", "/nowhere/settings.toml")]
fn a_bad_or_missing_setting_is_the_only_line_of_the_command(#[case] setting: &str, #[case] value: &str) {
    let output = output(serve().env(setting, value));

    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.starts_with(&format!("customer-deletion: {setting}: ")), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
}

#[test]
fn more_connections_than_descriptors_stop_the_start() {
    let mut serve = with_settings(limited("ulimit -n 1024"));
    let output = output(serve.env("CUSTOMER_DELETION__HTTP__MAX_CONNECTIONS", "1000"));
    let message = String::from_utf8(output.stderr).unwrap();
    let expected = "customer-deletion: CUSTOMER_DELETION__HTTP__MAX_CONNECTIONS: must be at most 855, and is 1000: the \
                    process may have 1024 descriptors (`ulimit -n`)\n";
    assert_eq!((output.status.code(), message.as_str()), (Some(1), expected));
}

#[tokio::test]
async fn a_trust_in_every_peer_is_warned_of() {
    let database = TestDatabase::migrated().await;
    for (peers, warnings) in [("10.0.0.0/8, ::/0", 1), ("0.0.0.0/0", 1), ("127.0.0.0/8", 0)] {
        let environment = [("CUSTOMER_DELETION__REQUESTER__HEADER__TRUSTED_PEERS", peers)];
        // Warnings of the start come before the line about listening.
        let log = Process::serve_with(&database.url, &environment).log();
        let is_warning = |line: &&serde_json::Value| line["level"] == "WARN" && line.to_string().contains("every peer");
        assert_eq!(log.iter().filter(is_warning).count(), warnings, "{peers}: {log:?}");
    }
}

#[test]
fn a_missing_database_is_named_by_both_its_names() {
    let output = output(serve().env_remove("DATABASE_URL"));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("CUSTOMER_DELETION__DATABASE__URL") && message.contains("DATABASE_URL"), "{message}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let taken = std::net::TcpListener::bind(taken).unwrap();
    let port = taken.local_addr().unwrap().port();
    let output = output(
        serve()
            .env("CUSTOMER_DELETION__HTTP__HOST", "127.0.0.1")
            .env("CUSTOMER_DELETION__HTTP__PORT", port.to_string()),
    );
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(message.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{message}");
}

#[tokio::test]
async fn settings_are_read_from_a_file_and_the_environment_wins() {
    let database = TestDatabase::migrated().await;
    let file = std::env::temp_dir().join(format!("customer-deletion-{}.toml", uuid::Uuid::now_v7()));
    std::fs::write(&file, "[log]\nlevel = \"off\"\n[http]\nport = \"not a port\"\n").unwrap();
    let output = output(
        command(&["migrate"])
            .env("CUSTOMER_DELETION_CONFIG", &file)
            .env("CUSTOMER_DELETION__HTTP__PORT", "8080")
            .env("DATABASE_URL", &database.url),
    );
    std::fs::remove_file(&file).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn migrate_brings_an_empty_database_up_to_date_and_may_run_again() {
    let database = TestDatabase::empty().await;
    let migrate = || {
        let output = output(command(&["migrate"]).env("DATABASE_URL", &database.url));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let version = schema::expected_version();
    assert_eq!(migrate(), format!("the schema went from version 0 to version {version}\n"));
    assert_eq!(migrate(), format!("the schema is up to date, at version {version}\n"));
}

#[tokio::test]
async fn migrate_refuses_a_newer_schema_and_says_so() {
    let database = TestDatabase::migrated().await;
    sqlx::raw_sql("insert into schema_version (version) values (9999)").execute(&database.pool).await.unwrap();
    let output = output(command(&["migrate"]).env("DATABASE_URL", &database.url));
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(message.contains("newer than this build") && message.contains("9999"), "{message}");
}

#[tokio::test]
async fn healthcheck_tells_by_its_exit_status() {
    let database = TestDatabase::empty().await;
    let process = Process::serve(&database.url);
    let healthcheck = || {
        output(
            command(&["healthcheck"])
                .env("CUSTOMER_DELETION__MANAGEMENT__PORT", process.management_address.port().to_string()),
        )
    };

    // A busy machine may take longer than a healthcheck waits.
    until(|| async {
        let unready = healthcheck();
        assert_eq!(unready.status.code(), Some(1));
        String::from_utf8_lossy(&unready.stderr).contains("migrate")
    })
    .await;

    schema::migrate(&database.url.parse().unwrap()).await.unwrap();
    database.grant().await;
    until(|| async { healthcheck().status.code() == Some(0) }).await;
}

/// On an IPv6 socket, the peer address of a call over IPv4 is a mapped one. The test needs IPv6.
#[tokio::test]
async fn a_service_on_every_address_is_called_over_ipv4_and_answers_its_healthcheck() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let database = TestDatabase::migrated().await;
    let hosts = [("CUSTOMER_DELETION__HTTP__HOST", "::"), ("CUSTOMER_DELETION__MANAGEMENT__HOST", "::")];
    let process = Process::serve_with(&database.url, &hosts);
    let port = process.management_address.port().to_string();
    let healthcheck = || {
        let mut command = command(&["healthcheck"]);
        command.env("CUSTOMER_DELETION__MANAGEMENT__HOST", "::").env("CUSTOMER_DELETION__MANAGEMENT__PORT", &port);
        output(&mut command)
    };
    until(|| async { healthcheck().status.code() == Some(0) }).await;

    let url = format!("http://127.0.0.1:{}/api/v3/global/call", process.address.port());
    let answer = client().get(url).header("X-Requester-Id", uuid::Uuid::now_v7().to_string()).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
}

#[test]
fn healthcheck_of_nothing_fails() {
    let output = output(command(&["healthcheck"]).env("CUSTOMER_DELETION__MANAGEMENT__PORT", "1"));
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test]
async fn an_environment_that_is_not_utf_8_is_not_in_the_way() {
    use std::os::unix::ffi::OsStringExt;
    let garbage = std::ffi::OsString::from_vec(vec![0xff]);
    let output = output(serve().env("SOMETHING_ELSE", &garbage).env("CUSTOMER_DELETION__HTTP__PORT", &garbage));
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(message, "customer-deletion: CUSTOMER_DELETION__HTTP__PORT: is not UTF-8\n");
}

#[tokio::test]
async fn migrate_applies_again_what_was_reverted_by_hand() {
    let database = TestDatabase::migrated().await;
    let newest = schema::expected_version();
    let down = schema::MIGRATOR
        .iter()
        .find(|migration| migration.version == newest && migration.migration_type.is_down_migration())
        .unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(down.sql.as_str().to_owned())).execute(&database.pool).await.unwrap();

    let versions = schema::migrate(&database.url.parse().unwrap()).await.unwrap();

    assert!(versions.0 < newest && versions.1 == newest, "{versions:?}");
    sqlx::raw_sql("select from operation").execute(&database.pool).await.unwrap();
}

#[tokio::test]
async fn migrate_refuses_a_schema_with_a_gap_and_names_it() {
    let database = TestDatabase::migrated().await;
    sqlx::raw_sql("delete from schema_version where version = 8").execute(&database.pool).await.unwrap();
    let error = schema::migrate(&database.url.parse().unwrap()).await.unwrap_err().to_string();
    assert!(error.contains("left out") && error.contains("[8]"), "{error}");
}

#[tokio::test]
async fn sigterm_waits_for_a_call_whose_client_has_gone() {
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    let family = world.family().await;
    let contact = world.contact(family.sub_customer).await;
    let mut process = Process::serve_with(&database.url, &LONG_WAITS);
    let mut moving = database.pool.begin().await.unwrap();
    sqlx::query("update contact set customer_id = $2 where id = $1")
        .bind(contact)
        .bind(family.requester)
        .execute(&mut *moving)
        .await
        .unwrap();

    hang_up_while_waiting(process.address, family, contact, &database.pool).await;
    process.send_sigterm();
    until(|| async { readiness(&process).await != Some(200) }).await;
    moving.commit().await.unwrap();

    assert_eq!(process.exit_code().await, Some(0));
    // The refusal takes two more statements, and is recorded before the end.
    let codes: Vec<String> =
        sqlx::query_scalar("select error_code from operation").fetch_all(&database.pool).await.unwrap();
    assert_eq!(codes, ["AUTH_1010"]);
}

#[tokio::test]
async fn sigterm_lets_fifty_calls_in_flight_end_and_takes_no_new_ones() {
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    let family = world.family().await;
    let contacts = world.rows(Resource::Contact, family.sub_customer, 50).await;
    let mut process = Process::serve_with(&database.url, &LONG_WAITS);
    let mut holding = database.pool.begin().await.unwrap();
    sqlx::query("select from contact where id = any($1) for update")
        .bind(&contacts)
        .execute(&mut *holding)
        .await
        .unwrap();

    let path = collection(family.sub_customer, Resource::Contact);
    let calls = contacts.iter().map(|contact| {
        let call = client()
            .delete(format!("http://{}{path}", process.address))
            .header("X-Requester-Id", family.requester.to_string())
            .body(body(&[*contact]));
        tokio::spawn(call.send())
    });
    let calls: Vec<_> = calls.collect();
    until_fifty_are_in_flight(&process).await;
    process.send_sigterm();
    let told = StallWatch::start();
    until(|| async { readiness(&process).await == Some(503) }).await;
    until(|| async { !takes_calls(&process).await }).await;
    assert!(told.took() < Duration::from_secs(5), "{:?}", told.took());
    assert!(calls.iter().all(|call| !call.is_finished()), "a call was answered before its row was free");
    holding.rollback().await.unwrap();

    for call in calls {
        let answer = call.await.unwrap().expect("a call in flight is answered");
        assert_eq!(answer.status().as_u16(), 200);
    }
    assert_eq!(process.exit_code().await, Some(0));
    assert_eq!(world.deleted(Resource::Contact, &contacts).await.len(), 50);
}

/// Calls wait for a row for far longer than it takes to send them and to stop a service.
const LONG_WAITS: [(&str, &str); 3] = [
    ("CUSTOMER_DELETION__HTTP__BODY_TIMEOUT_MS", "1000"),
    ("CUSTOMER_DELETION__HTTP__DRAIN_SECONDS", "19"),
    ("CUSTOMER_DELETION__DATABASE__DEADLINE_MS", "18000"),
];

/// Waits however long a busy machine takes for so many connections. The calls wait for far longer.
async fn until_fifty_are_in_flight(process: &Process) {
    let began = Instant::now();
    while process.in_flight().await < 50.0 {
        assert!(began.elapsed() < Duration::from_secs(15), "{} are in flight", process.in_flight().await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Returns `None` if the service does not answer any more.
async fn readiness(process: &Process) -> Option<u16> {
    let ready = format!("http://{}/health/ready", process.management_address);
    client().get(&ready).send().await.ok().map(|answer| answer.status().as_u16())
}

async fn takes_calls(process: &Process) -> bool {
    client().get(format!("http://{}/", process.address)).send().await.is_ok()
}
