//! A synchronous standby that is away: no commit ends, and PostgreSQL has no time limit for that.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use customer_deletion::private_postgres::{Durability, PrivatePostgres};
use customer_deletion::resource::Resource;
use customer_deletion::schema;
use futures_util::FutureExt;
use futures_util::future::join_all;
use reqwest::RequestBuilder;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::support::audit::assert_agreement;
use crate::support::database::{SERVICE, grant};
use crate::support::process::Process;
use crate::support::service::{Answer, collection, send};
use crate::support::world::Family;
use crate::support::{TestPool, World, body, client, until};

const CONNECTIONS: i64 = 8;

/// Short, because many calls are given up. On a busy machine a call must come to its commit in this time.
const DEADLINE: (&str, &str) = ("CUSTOMER_DELETION__DATABASE__DEADLINE_MS", "2000");

/// A server of its own, because the setting holds for all databases.
struct Server {
    postgres: Option<PrivatePostgres>,
    folder: PathBuf,
    pool: TestPool,
}

impl Server {
    async fn start() -> Server {
        let folder = std::env::temp_dir().join(format!("customer-deletion-standby-{}", Uuid::now_v7()));
        let path = folder.clone();
        let starting = tokio::task::spawn_blocking(move || PrivatePostgres::start(&path, Durability::Durable));
        let postgres = starting.await.unwrap().unwrap_or_else(|error| panic!("{error}"));
        let options = postgres.url("postgres").parse().unwrap();
        schema::migrate(&options).await.unwrap();
        grant(&options).await;
        // The writes of the test itself wait for no standby.
        let options = options.options([("synchronous_commit", "local")]);
        let pool = PgPoolOptions::new().max_connections(4).connect_lazy_with(options).into();
        Server { postgres: Some(postgres), folder, pool }
    }

    fn url(&self) -> String {
        let url = self.postgres.as_ref().unwrap().url("postgres");
        let after_role = url.split_once('@').unwrap().1;
        format!("postgres://{SERVICE}:{SERVICE}@{after_role}")
    }

    async fn wait_for_standby(&self, name: &str) {
        let sql = format!("alter system set synchronous_standby_names = '{name}'");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&self.pool).await.unwrap();
        sqlx::raw_sql("select pg_reload_conf()").execute(&self.pool).await.unwrap();
        if !name.is_empty() {
            self.until_commits_wait().await;
        }
    }

    /// PostgreSQL's checkpointer reads the setting some time later. Until then, commits still end.
    async fn until_commits_wait(&self) {
        let mut session = self.pool.acquire().await.unwrap().detach();
        sqlx::raw_sql("set synchronous_commit = on").execute(&mut session).await.unwrap();
        let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut session).await.unwrap();
        while self.commit_ends(&mut session, pid).await {}
        session.close().await.unwrap();
    }

    /// Whether a commit of this session ends. A commit that waits is cancelled.
    async fn commit_ends(&self, session: &mut PgConnection, pid: i32) -> bool {
        let mut commit = sqlx::raw_sql("select pg_logical_emit_message(true, 'test', '')").execute(session).boxed();
        let ends = tokio::select! {
            _ = &mut commit => true,
            () = self.until_it_waits(pid) => false,
        };
        if !ends {
            sqlx::query("select pg_cancel_backend($1)").bind(pid).execute(&self.pool).await.unwrap();
            commit.await.unwrap();
        }
        ends
    }

    async fn until_it_waits(&self, pid: i32) {
        let sql = "select exists (select from pg_stat_activity where pid = $1 and wait_event = 'SyncRep')";
        while !sqlx::query_scalar::<_, bool>(sql).bind(pid).fetch_one(&self.pool).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The number of commits of the service that wait, without those of its readiness checks.
    async fn waiting_deletions(&self) -> i64 {
        let sql = "select count(*) from pg_stat_activity
            where usename = $1 and wait_event = 'SyncRep' and query not like '-- prove_commit:%'";
        sqlx::query_scalar(sql).bind(SERVICE).fetch_one(&self.pool).await.unwrap()
    }

    /// PostgreSQL notices some time later that the previous service has ended.
    async fn until_no_service_is_connected(&self) {
        until(|| async { self.backends().await == 0 }).await;
    }

    /// The backend of a call that gave up earlier may take a moment to end. One whose commit waits does not end.
    async fn until_backends_are_at_most(&self, most: i64) {
        until(|| async { self.backends().await <= most }).await;
    }

    async fn backends(&self) -> i64 {
        let sql = "select count(*) from pg_stat_activity where usename = $1";
        sqlx::query_scalar(sql).bind(SERVICE).fetch_one(&self.pool).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.postgres.take());
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn delete(process: &Process, family: Family, contact: Uuid) -> Answer {
    send(deletion(process, family, contact)).await
}

async fn accept(process: &Process, family: Family, contact: Uuid) -> Answer {
    send(deletion(process, family, contact).header("Prefer", "respond-async")).await
}

fn deletion(process: &Process, family: Family, contact: Uuid) -> RequestBuilder {
    let path = collection(family.sub_customer, Resource::Contact);
    let call = client().delete(format!("http://{}{path}", process.address));
    call.header("X-Requester-Id", family.requester.to_string()).body(body(&[contact]))
}

async fn readiness(process: &Process) -> Answer {
    send(client().get(format!("http://{}/health/ready", process.management_address))).await
}

/// The number in the metrics.
async fn waiting_commits(process: &Process) -> f64 {
    let page = send(client().get(format!("http://{}/metrics", process.management_address))).await.text;
    let value = page.lines().find_map(|line| line.strip_prefix("customer_deletion_commits_waiting "));
    value.expect("the page has it").parse().unwrap()
}

/// Requests readiness until it has this status.
async fn until_ready_is(process: &Process, status: u16) -> Answer {
    let began = Instant::now();
    loop {
        let answer = readiness(process).await;
        if answer.status == status {
            return answer;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{}", answer.text);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// One server for all cases, because its creation takes seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_whose_commit_waits_are_bounded_and_make_a_service_not_ready() {
    let server = Server::start().await;
    assert_readiness_proves_a_commit_of_its_own(&server).await;
    assert_commits_of_calls_are_part_of_the_pool(&server).await;
    assert_commits_of_workers_are_as_many_as_the_workers(&server).await;
}

async fn assert_commits_of_calls_are_part_of_the_pool(server: &Server) {
    server.until_no_service_is_connected().await;
    let world = World::new(server.pool.clone());
    let family = world.family().await;
    let contacts = world.rows(Resource::Contact, family.sub_customer, 96).await;
    let connections = CONNECTIONS.to_string();
    let settings = [
        ("CUSTOMER_DELETION__DATABASE__MAX_CONNECTIONS", connections.as_str()),
        DEADLINE,
        ("CUSTOMER_DELETION__QUEUE__WORKERS", "0"),
    ];
    let process = Process::serve_as(&server.url(), &settings);
    until_ready_is(&process, 200).await;

    server.wait_for_standby("away").await;
    for calls in contacts.chunks(32) {
        let answers = join_all(calls.iter().map(|contact| delete(&process, family, *contact))).await;
        for answer in answers {
            answer.assert_failed(503, "GLOBAL_1001", "Service unavailable. Please try again");
        }
        // One backend may be checking whether there is room.
        server.until_backends_are_at_most(CONNECTIONS + 1).await;
    }
    // On a slow machine there are other reasons for a moment, and a call may give up before its commit.
    let reason = format!("{CONNECTIONS} commits wait for a synchronous standby that does not answer");
    let began = Instant::now();
    while !until_ready_is(&process, 503).await.text.contains(&reason) {
        assert!(began.elapsed() < Duration::from_secs(60), "the service does not say: {reason}");
        let contact = world.contact(family.sub_customer).await;
        delete(&process, family, contact).await.assert_status(503);
    }
    assert_eq!(waiting_commits(&process).await, CONNECTIONS as f64);

    server.wait_for_standby("").await;
    until_ready_is(&process, 200).await;
    let began = Instant::now();
    while waiting_commits(&process).await > 0.0 {
        assert!(began.elapsed() < Duration::from_secs(30), "the metric stays");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let last = world.contact(family.sub_customer).await;
    delete(&process, family, last).await.assert_deleted();
    assert_agreement(&server.pool).await;
}

/// A worker holds no connection of the pool, so its waiting commit is one more.
async fn assert_commits_of_workers_are_as_many_as_the_workers(server: &Server) {
    const WORKERS: i64 = 2;
    server.until_no_service_is_connected().await;
    let world = World::new(server.pool.clone());
    let family = world.family().await;
    let contacts = world.rows(Resource::Contact, family.sub_customer, 96).await;
    let (connections, workers) = (CONNECTIONS.to_string(), WORKERS.to_string());
    let settings = [
        ("CUSTOMER_DELETION__DATABASE__MAX_CONNECTIONS", connections.as_str()),
        DEADLINE,
        ("CUSTOMER_DELETION__QUEUE__WORKERS", workers.as_str()),
    ];
    let process = Process::serve_as(&server.url(), &settings);
    until_ready_is(&process, 200).await;
    // Locks of other services block these operations until commits wait.
    let mut holding = server.pool.begin().await.unwrap();
    let hold = "select from contact where id = any($1) for update";
    sqlx::query(hold).bind(&contacts[..32]).execute(&mut *holding).await.unwrap();
    for contact in &contacts[..32] {
        accept(&process, family, *contact).await.assert_status(202);
    }

    server.wait_for_standby("away").await;
    holding.rollback().await.unwrap();
    let began = Instant::now();
    while server.waiting_deletions().await < WORKERS {
        assert!(began.elapsed() < Duration::from_secs(60), "the commits of the workers do not wait");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for calls in contacts[32..].chunks(32) {
        join_all(calls.iter().map(|contact| delete(&process, family, *contact))).await;
        server.until_backends_are_at_most(CONNECTIONS + WORKERS + 1).await;
    }
    server.wait_for_standby("").await;
    until_ready_is(&process, 200).await;
    let began = Instant::now();
    while world.deleted(Resource::Contact, &contacts[..32]).await.len() < 32 {
        assert!(began.elapsed() < Duration::from_secs(60), "the workers do not go on");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_agreement(&server.pool).await;
}

/// This holds without a call, too.
async fn assert_readiness_proves_a_commit_of_its_own(server: &Server) {
    server.until_no_service_is_connected().await;
    let settings = [DEADLINE, ("CUSTOMER_DELETION__QUEUE__WORKERS", "0")];
    let process = Process::serve_as(&server.url(), &settings);
    until_ready_is(&process, 200).await;

    server.wait_for_standby("away").await;
    until_ready_is(&process, 503).await;
    for _ in 0..20 {
        let down = readiness(&process).await;
        assert!(down.status == 503 && down.text.contains("1 commit waits for a synchronous standby"), "{}", down.text);
    }
    // Its own commit is the only one that waits.
    let waiting = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'";
    let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&server.pool).await.unwrap();
    assert_eq!(waiting, 1);

    server.wait_for_standby("").await;
    until_ready_is(&process, 200).await;
}
