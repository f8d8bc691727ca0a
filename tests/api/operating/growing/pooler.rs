//! PgBouncer in transaction mode between the service and PostgreSQL, as `deploy/pgbouncer` has it.

use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use customer_deletion::schema;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use testcontainers::core::{CmdWaitFor, ExecCommand, IntoContainerPort, Mount, WaitFor};
use testcontainers::runners::{AsyncBuilder, AsyncRunner};
use testcontainers::{ContainerAsync, GenericBuildableImage, GenericImage, ImageExt};
use tokio::time::sleep;
use uuid::Uuid;

use crate::concurrency::queued::assert_accepted;
use crate::dba::in_use::load::Load;
use crate::dba::roles::power::end_of_service;
use crate::support::database::ROLES;
use crate::support::process::{IMPATIENT, Process};
use crate::support::service::{collection, send};
use crate::support::{TestPool, World, body, client, postgres};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/pgbouncer");
const CONFIGURATION: &str = include_str!("../../../../deploy/pgbouncer/pgbouncer.ini");
const SESSION_SETTINGS: &[u8] = include_bytes!("../../../../deploy/pgbouncer/session_settings.sql");
const ROLE: &str = "the_service";
const GIVEN: (&str, &str) = ("CUSTOMER_DELETION__DATABASE__SESSION_SETTINGS", "given");

/// Long limits for a busy machine. The settings of the sessions are those of the role.
const GIVEN_AND_PATIENT: [(&str, &str); 5] = [
    GIVEN,
    // Without it, the log begins with a warning.
    ("CUSTOMER_DELETION__HTTP__ALLOWED_HOSTS", "127.0.0.1"),
    ("CUSTOMER_DELETION__DATABASE__DEADLINE_MS", "18000"),
    ("CUSTOMER_DELETION__HTTP__BODY_TIMEOUT_MS", "2000"),
    ("CUSTOMER_DELETION__HTTP__DRAIN_SECONDS", "20"),
];

/// A PostgreSQL of its own, because roles belong to a whole server, and the pooler in front of it.
struct Pooled {
    pool: TestPool,
    pooled_url: String,
    _pooler: ContainerAsync<GenericImage>,
    postgres: ContainerAsync<GenericImage>,
}

/// Returns `None` if containers cannot be started.
async fn pooled() -> Option<Pooled> {
    if !postgres::docker_answers() {
        eprintln!("skipped: there is no Docker to run PgBouncer in");
        return None;
    }
    let network = format!("customer-deletion-{}", Uuid::now_v7().simple());
    let postgres = GenericImage::new("postgres", "17")
        .with_wait_for(WaitFor::message_on_stderr("listening on IPv4 address"))
        .with_wait_for(WaitFor::message_on_stderr("ready to accept connections"))
        .with_exposed_port(5432.tcp())
        .with_network(&network)
        .with_mount(Mount::tmpfs_mount("/var/lib/postgresql/data"))
        .with_env_var("POSTGRES_HOST_AUTH_METHOD", "trust")
        .with_env_var("POSTGRES_DB", "customer_deletion")
        .with_copy_to("/session_settings.sql", SESSION_SETTINGS.to_vec())
        .with_cmd(["postgres", "-c", "fsync=off"])
        .start()
        .await
        .unwrap();
    let port = postgres.get_host_port_ipv4(5432).await.unwrap();
    let url = format!("postgres://postgres@127.0.0.1:{port}/customer_deletion");
    let pool = TestPool::new(url.parse().unwrap());
    schema::migrate(&url.parse().unwrap()).await.unwrap();
    let role = "create role the_service login;
        grant select, insert, update on all tables in schema public to the_service;
        grant delete on operation_queue to the_service";
    sqlx::raw_sql(role).execute(&pool).await.unwrap();

    let host = postgres.get_bridge_ip_address().await.unwrap().to_string();
    let pooler = start_pooler(&network, &host).await;
    let port = pooler.get_host_port_ipv4(6432).await.unwrap();
    let pooled_url = format!("postgres://{ROLE}:development@127.0.0.1:{port}/customer_deletion");
    Some(Pooled { pool, pooled_url, _pooler: pooler, postgres })
}

/// Uses the files of `deploy/pgbouncer`, with another address of PostgreSQL, and with so few connections that they are shared.
async fn start_pooler(network: &str, host: &str) -> ContainerAsync<GenericImage> {
    let configuration = CONFIGURATION
        .replace("host=postgres ", &format!("host={host} "))
        .replace("default_pool_size = 16", "default_pool_size = 3");
    assert_eq!(configuration.matches(host).count() + configuration.matches("size = 3\n").count(), 2);
    GenericBuildableImage::new("customer-deletion-test-pgbouncer", "trixie")
        .with_dockerfile(format!("{FOLDER}/Dockerfile"))
        .with_file(format!("{FOLDER}/pgbouncer.ini"), "pgbouncer.ini")
        .with_file(format!("{FOLDER}/userlist.txt"), "userlist.txt")
        .build_image()
        .await
        .unwrap()
        .with_wait_for(WaitFor::message_on_stderr("process up"))
        .with_exposed_port(6432.tcp())
        .with_network(network)
        .with_copy_to("/etc/pgbouncer/pgbouncer.ini", configuration.into_bytes())
        .start()
        .await
        .unwrap()
}

impl Pooled {
    /// Sets the settings as a DBA does. Open connections do not have them yet, and are ended.
    async fn give_session_settings(&self) {
        let command = format!(
            "psql --no-psqlrc -U postgres -v ON_ERROR_STOP=1 -v role={ROLE} -f /session_settings.sql customer_deletion"
        );
        let psql = ExecCommand::new(command.split(' ')).with_cmd_ready_condition(CmdWaitFor::exit_code(0));
        self.postgres.exec(psql).await.unwrap();
        self.end_connections().await;
    }

    /// The limits that belong to the deadline of [`GIVEN_AND_PATIENT`].
    async fn give_patience(&self) {
        let limits = "alter role the_service set statement_timeout = '14400';
            alter role the_service set lock_timeout = '10800';
            alter role the_service set idle_in_transaction_session_timeout = '14400'";
        sqlx::raw_sql(limits).execute(&self.pool).await.unwrap();
        self.end_connections().await;
    }

    async fn end_connections(&self) {
        let end = "select pg_terminate_backend(pid, 20000) from pg_stat_activity where usename = 'the_service'";
        sqlx::raw_sql(end).execute(&self.pool).await.unwrap();
    }

    async fn connections(&self) -> i64 {
        let count = "select count(*) from pg_stat_activity where usename = 'the_service'";
        sqlx::query_scalar(count).fetch_one(&self.pool).await.unwrap()
    }
}

async fn readiness(service: &Process) -> (u16, String) {
    let ready = client().get(format!("http://{}/health/ready", service.management_address)).send().await.unwrap();
    (ready.status().as_u16(), ready.text().await.unwrap())
}

/// One server and one pooler for all cases, because their start takes seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_works_behind_pgbouncer() {
    let Some(pooled) = pooled().await else { return };
    assert_without_the_settings_of_its_sessions_it_is_not_ready_and_names_them(&pooled).await;
    assert_an_operation_has_its_own_time_and_leaves_none_behind(&pooled).await;
    assert_two_replicas_serve_under_load_without_an_error(&pooled).await;
    assert_it_does_not_start_as_the_owner(&pooled).await;
}

async fn assert_without_the_settings_of_its_sessions_it_is_not_ready_and_names_them(pooled: &Pooled) {
    let sent = Process::serve_impatiently(&pooled.pooled_url);
    let (status, reason) = readiness(&sent).await;
    assert_eq!(status, 503);
    assert!(reason.contains("startup parameter"), "{reason}");

    let given = Process::serve_with(&pooled.pooled_url, &[&IMPATIENT[..], &[GIVEN]].concat());
    let (status, reason) = readiness(&given).await;
    assert_eq!(status, 503);
    for setting in
        ["plan_cache_mode is auto, not force_generic_plan", "lock_timeout is 0, not 1500ms", "jit is on, not off"]
    {
        assert!(reason.contains(setting), "{reason}");
    }

    // The limits of a database are not those of the service.
    sqlx::raw_sql("alter database customer_deletion set transaction_timeout = '1min'")
        .execute(&pooled.pool)
        .await
        .unwrap();
    pooled.give_session_settings().await;
    // PgBouncer notices by itself that its connections have ended.
    let began = Instant::now();
    let mut ready = readiness(&given).await;
    while ready.0 != 200 && began.elapsed() < Duration::from_secs(20) {
        sleep(Duration::from_millis(50)).await;
        ready = readiness(&given).await;
    }
    assert_eq!(ready, (200, r#"{"status":"UP"}"#.to_owned()));
    let reset = "alter database customer_deletion reset transaction_timeout";
    sqlx::raw_sql(reset).execute(&pooled.pool).await.unwrap();
}

/// The settings of an operation hold in its transaction only, whichever call uses the connection next. So it has time for a
/// statement that takes longer than a call may.
async fn assert_an_operation_has_its_own_time_and_leaves_none_behind(pooled: &Pooled) {
    let world = World::new(pooled.pool.clone());
    let family = world.family().await;
    let rows = world.rows(Resource::Contact, family.sub_customer, 5).await;
    sqlx::raw_sql(
        "create function slowly() returns trigger language plpgsql as $$ begin perform pg_sleep(0.7); return new; end $$;
         create trigger slowly before update on contact for each row execute function slowly();",
    )
    .execute(&pooled.pool)
    .await
    .unwrap();
    let service = Process::serve_with(&pooled.pooled_url, &[&IMPATIENT[..], &[GIVEN]].concat());
    let call = |ids: &[Uuid]| {
        let path = collection(family.sub_customer, Resource::Contact);
        let call = client().delete(format!("http://{}{path}", service.address)).body(body(ids));
        call.header("X-Requester-Id", family.requester.to_string())
    };
    let too_long = send(call(&rows)).await;
    too_long.assert_failed(503, "GLOBAL_1001", "Service unavailable. Please try again");

    let operation = assert_accepted(&send(call(&rows).header("Prefer", "respond-async")).await);
    let began = Instant::now();
    let status = "select status from operation where id = $1";
    while sqlx::query_scalar::<_, String>(status).bind(operation).fetch_one(&pooled.pool).await.unwrap() != "SUCCESS" {
        assert!(began.elapsed() < Duration::from_secs(60), "the operation does not succeed");
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(line_of_the_operation(&service).await["attempts"], 1);
    assert_eq!(world.deleted(Resource::Contact, &rows).await.len(), rows.len());
    // The connections are the same, and again have the limits of calls.
    let rows = world.rows(Resource::Contact, family.sub_customer, 5).await;
    send(call(&rows)).await.assert_failed(503, "GLOBAL_1001", "Service unavailable. Please try again");
    sqlx::raw_sql("drop function slowly() cascade").execute(&pooled.pool).await.unwrap();
    crate::support::audit::assert_agreement(&pooled.pool).await;
}

/// It is logged after the commit.
async fn line_of_the_operation(service: &Process) -> Value {
    let began = Instant::now();
    loop {
        if let Some(line) = service.log().into_iter().find(|line| line["message"] == "operation") {
            return line;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "no line: {:#?}", service.log());
        sleep(Duration::from_millis(20)).await;
    }
}

async fn assert_two_replicas_serve_under_load_without_an_error(pooled: &Pooled) {
    pooled.give_patience().await;
    let replicas = [(); 2].map(|()| Process::serve_with(&pooled.pooled_url, &GIVEN_AND_PATIENT));
    let addresses = replicas.each_ref().map(|replica| replica.address);
    let family = World::new(pooled.pool.clone()).family().await;

    let load = Load::start(&addresses, &pooled.pool, family, 12);
    load.until_answered(200).await;
    let connections = pooled.connections().await;
    load.stop().await.assert_no_failure();
    // Idle for longer than a session is lent without a check.
    sleep(Duration::from_millis(1500)).await;
    let after_a_rest = Load::start(&addresses, &pooled.pool, family, 12);
    after_a_rest.until_answered(50).await;

    after_a_rest.stop().await.assert_no_failure();
    assert!((1..=3).contains(&connections), "{connections} connections for 16 of the service");
    for replica in &replicas {
        assert_eq!(readiness(replica).await.0, 200);
        let retries = replica.log().into_iter().filter(|line| line["level"] != "INFO").collect::<Vec<_>>();
        assert!(retries.is_empty(), "{retries:?}");
    }
    crate::support::audit::assert_agreement(&pooled.pool).await;
}

/// The owner of the tables must not serve behind a pooler either.
async fn assert_it_does_not_start_as_the_owner(pooled: &Pooled) {
    sqlx::raw_sql(ROLES).execute(&pooled.pool).await.unwrap();
    let grant = format!("grant customer_deletion_owner to {ROLE}");
    sqlx::raw_sql(AssertSqlSafe(grant)).execute(&pooled.pool).await.unwrap();

    let (code, message) = end_of_service(&pooled.pooled_url, &GIVEN_AND_PATIENT);

    assert_eq!(code, Some(1), "{message}");
    for part in ["CUSTOMER_DELETION__DATABASE__ALLOW_OWNER", ROLE, "owner of the tables"] {
        assert!(message.contains(part), "{message}");
    }
}
