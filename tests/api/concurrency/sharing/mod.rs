//! Calls that wait for a connection, and share a statement when one becomes free.
//!
//! Most tests here give the service one connection, let a call on it wait for a row, queue other calls behind it, and release
//! the row.

mod failures;
mod outcomes;
mod plans;
mod races;
mod together;

use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use reqwest::{Method, RequestBuilder};
use sqlx::{AssertSqlSafe, Postgres, Transaction};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::support::process::Process;
use crate::support::resources::contract;
use crate::support::service::{Answer, collection, send};
use crate::support::world::Family;
use crate::support::{TestDatabase, World, body, client};

/// One connection, and time for a test to prepare the calls behind it, even on a busy machine.
const SETTINGS: [(&str, &str); 5] = [
    ("CUSTOMER_DELETION__LOG__LEVEL", "info,customer_deletion::repository::sharing=trace"),
    ("CUSTOMER_DELETION__HTTP__BODY_TIMEOUT_MS", "1000"),
    ("CUSTOMER_DELETION__DATABASE__MAX_CONNECTIONS", "1"),
    ("CUSTOMER_DELETION__DATABASE__DEADLINE_MS", "18000"),
    ("CUSTOMER_DELETION__HTTP__DRAIN_SECONDS", "20"),
];

/// A service in its own process, whose metrics only this test changes.
struct Stage {
    process: Process,
    world: World,
    family: Family,
    // Last, so that the database outlives the service.
    database: TestDatabase,
}

impl Stage {
    async fn new() -> Stage {
        Stage::with(&[]).await
    }

    /// `settings` add to, or replace, those of the suite.
    async fn with(settings: &[(&str, &str)]) -> Stage {
        let database = TestDatabase::migrated().await;
        let url = database.url.clone();
        Stage::on(database, &url, settings).await
    }

    async fn on(database: TestDatabase, url: &str, settings: &[(&str, &str)]) -> Stage {
        let settings = [&SETTINGS[..], settings].concat();
        let process = Process::serve_with(url, &settings);
        let world = World::new(database.pool.clone());
        let family = world.family().await;
        Stage { process, world, family, database }
    }

    fn call(&self, requester: Uuid, customer: Uuid, resource: Resource, ids: &[Uuid]) -> RequestBuilder {
        let (path, body) = match (contract(resource).takes_list, ids) {
            (false, [id]) => (format!("{}/{id}", collection(customer, resource)), String::new()),
            (true | false, _) => (collection(customer, resource), body(ids)),
        };
        let url = format!("http://{}{path}", self.process.address);
        client().request(Method::DELETE, url).header("X-Requester-Id", requester.to_string()).body(body)
    }

    /// A call about rows of the test's own family.
    fn own_call(&self, resource: Resource, ids: &[Uuid]) -> RequestBuilder {
        self.call(self.family.requester, self.family.in_scope(resource), resource, ids)
    }

    /// Lets a call wait for a row on the only connection.
    async fn occupy(&self) -> Occupied {
        self.occupy_as(self.family).await
    }

    async fn occupy_as(&self, family: Family) -> Occupied {
        let address = self.world.address(family.sub_customer).await;
        let holding = self.hold("select from address where id = $1 for update", address).await;
        let call = self.call(family.requester, family.sub_customer, Resource::Address, &[address]);
        let call = tokio::spawn(send(call));
        self.until_waiting("-- delete_addresses:", "Lock").await;
        Occupied { holding, call }
    }

    /// A transaction of another service that has executed one statement.
    async fn hold(&self, sql: &'static str, id: Uuid) -> Transaction<'static, Postgres> {
        let mut tx = self.database.pool.begin().await.unwrap();
        sqlx::query(sql).bind(id).execute(&mut *tx).await.unwrap();
        tx
    }

    /// Sends the calls one after the other, each once the previous one waits.
    async fn queue(&self, calls: impl IntoIterator<Item = RequestBuilder>) -> Vec<JoinHandle<Answer>> {
        let mut sent = Vec::new();
        for call in calls {
            let queued = self.queued();
            sent.push(tokio::spawn(send(call)));
            self.until_more_than(queued).await;
        }
        sent
    }

    /// The number of calls that have begun to wait for a session so far, from the log.
    fn queued(&self) -> usize {
        self.process.count_in_log("\"a call waits for a connection\"")
    }

    /// Waits until more than this many calls have begun to wait.
    async fn until_more_than(&self, queued: usize) {
        let began = Instant::now();
        while self.queued() <= queued {
            assert!(began.elapsed() < Duration::from_secs(30), "a call does not queue");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Sends calls that do not queue, because each waits for a session by itself. No event shows when they wait.
    async fn let_wait(&self, calls: impl IntoIterator<Item = RequestBuilder>) -> Vec<JoinHandle<Answer>> {
        let sent = calls.into_iter().map(|call| tokio::spawn(send(call))).collect();
        tokio::time::sleep(Duration::from_millis(300)).await;
        sent
    }

    /// Waits until a statement of the service whose text begins with the comment waits for this type of event, and returns the
    /// process id of its backend.
    async fn until_waiting(&self, comment: &str, wait_event_type: &str) -> i32 {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(30) {
            let pid: Option<i32> = sqlx::query_scalar(
                "select pid from pg_stat_activity
                 where datname = current_database() and starts_with(query, $1) and wait_event_type = $2",
            )
            .bind(comment)
            .bind(wait_event_type)
            .fetch_optional(&self.database.pool)
            .await
            .unwrap();
            if let Some(pid) = pid {
                return pid;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("`{comment}` does not wait");
    }

    async fn metric(&self, series: &str) -> f64 {
        let answer = client().get(format!("http://{}/metrics", self.process.management_address)).send();
        let page = answer.await.unwrap().text().await.unwrap();
        let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_else(|| panic!("{series} is not on the page"))
    }

    /// The numbers of shared statements, of calls that were executed in them, and of calls that were executed alone.
    async fn shared(&self, resource: &str) -> [f64; 3] {
        let calls = |outcome: &str| {
            format!(r#"customer_deletion_shared_calls_total{{resource="{resource}",outcome="{outcome}"}}"#)
        };
        let statements = format!(r#"customer_deletion_shared_statements_total{{resource="{resource}"}}"#);
        [self.metric(&statements).await, self.metric(&calls("done")).await, self.metric(&calls("alone")).await]
    }

    /// The number of transactions that recorded these operations.
    async fn transactions(&self, operations: &[Uuid]) -> i64 {
        let sql = "select count(distinct xmin::text) from operation where id = any($1) and status = 'SUCCESS'";
        sqlx::query_scalar(sql).bind(operations).fetch_one(&self.database.pool).await.unwrap()
    }

    /// Ends the service, and keeps the database.
    fn end(self) -> TestDatabase {
        drop(self.process);
        self.database
    }

    async fn run(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&self.database.pool).await.unwrap();
    }

    async fn assert_rows_and_operations_agree(&self) {
        crate::support::audit::assert_agreement(&self.database.pool).await;
    }
}

/// The only connection is busy until this is released.
struct Occupied {
    holding: Transaction<'static, Postgres>,
    call: JoinHandle<Answer>,
}

impl Occupied {
    async fn let_go(self) {
        self.holding.rollback().await.unwrap();
        self.call.await.unwrap().assert_deleted();
    }
}

async fn answers(calls: Vec<JoinHandle<Answer>>) -> Vec<Answer> {
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }
    answers
}

fn code(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["errorCode"].as_str().unwrap().to_owned())
}
