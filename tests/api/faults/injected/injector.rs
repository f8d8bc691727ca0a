//! A service whose database fails at a step and with an error that a test chooses.

use customer_deletion::config::Settings;
use customer_deletion::resource::Resource;
use reqwest::RequestBuilder;
use uuid::Uuid;

use crate::support::resources::{statement, table};
use crate::support::service::{Answer, send};
use crate::support::world::Family;
use crate::support::{TestDatabase, TestPool, TestService};

/// More often than anything is tried.
pub const ALWAYS: i64 = 1000;

/// One error at one step.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The name of the step in `injector.sql`.
    pub step: String,
    /// The row at which the error is raised. `None` means the first row that reaches the step.
    pub row: Option<Uuid>,
    pub sqlstate: &'static str,
    /// The number of times that the step fails before it succeeds.
    pub times: i64,
    /// The delay before the error, in seconds.
    pub delay: f64,
    /// The operation whose attempts are counted, instead of the times that the step is reached.
    pub operation: Option<Uuid>,
}

impl Fault {
    pub fn new(step: impl Into<String>, sqlstate: &'static str) -> Fault {
        Fault { step: step.into(), row: None, sqlstate, times: ALWAYS, delay: 0.0, operation: None }
    }

    pub fn at_row(self, row: Option<Uuid>) -> Fault {
        Fault { row, ..self }
    }

    pub fn times(self, times: i64) -> Fault {
        Fault { times, ..self }
    }

    /// The fault fails the first attempts at the operation.
    pub fn in_attempts_at(self, operation: Uuid, times: i64) -> Fault {
        Fault { operation: Some(operation), times, ..self }
    }
}

/// A service on a database that fails on demand, and a family in it.
pub struct Injector {
    pub service: TestService,
    pub family: Family,
}

impl Injector {
    pub async fn start() -> Injector {
        Injector::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut Settings)) -> Injector {
        let database = TestDatabase::migrated().await;
        sqlx::raw_sql(include_str!("injector.sql")).execute(&database.pool).await.unwrap();
        let service = TestService::start_on(database, change).await;
        let family = service.world.family().await;
        Injector { service, family }
    }

    pub fn pool(&self) -> &TestPool {
        &self.service.database.pool
    }

    /// From now on the step of the fault fails. Its tries are counted from one.
    pub async fn inject(&self, fault: &Fault) {
        self.heal().await;
        self.inject_also(fault).await;
    }

    /// Adds a fault to those that are there.
    pub async fn inject_also(&self, fault: &Fault) {
        sqlx::query("insert into fault values ($1, $2, $3, $4, $5, $6)")
            .bind(&fault.step)
            .bind(fault.row)
            .bind(fault.sqlstate)
            .bind(fault.times)
            .bind(fault.delay)
            .bind(fault.operation)
            .execute(self.pool())
            .await
            .unwrap();
    }

    pub async fn heal(&self) {
        sqlx::raw_sql("delete from fault; alter sequence reached restart").execute(self.pool()).await.unwrap();
    }

    /// The number of times that the step of the fault was reached.
    pub async fn tries(&self) -> i64 {
        sqlx::query_scalar("select case when is_called then last_value else 0 end from reached")
            .fetch_one(self.pool())
            .await
            .unwrap()
    }

    /// Sends a call about rows of the customer that a deletion of the resource must name, under a key.
    ///
    /// On a busy machine the call may get no session in time. Then it did not reach the fault, and is sent again.
    pub async fn delete(&self, resource: Resource, ids: &[Uuid], key: &str) -> Answer {
        let mut answer = send(self.call(resource, ids, key)).await;
        for _ in 0..3 {
            if answer.status != 503 || self.tries().await > 0 {
                break;
            }
            answer = send(self.call(resource, ids, key)).await;
        }
        answer
    }

    /// The same for a caller that does not wait.
    pub async fn delete_later(&self, resource: Resource, ids: &[Uuid], key: &str) -> Answer {
        send(self.call(resource, ids, key).header("Prefer", "respond-async")).await
    }

    fn call(&self, resource: Resource, ids: &[Uuid], key: &str) -> RequestBuilder {
        let customer = self.family.in_scope(resource);
        let call = self.service.deletion(self.family.requester, customer, resource, ids);
        call.header("Idempotency-Key", key)
    }

    /// The statuses of the operations with this id, or under this key.
    pub async fn statuses(&self, id: Uuid, key: &str) -> Vec<String> {
        sqlx::query_scalar("select status from operation where id = $1 or idempotency_key = $2 order by created_at")
            .bind(id)
            .bind(key)
            .fetch_all(self.pool())
            .await
            .unwrap()
    }

    pub async fn assert_rows_and_operations_agree(&self) {
        crate::support::audit::assert_agreement(self.pool()).await;
    }
}

/// The name of the statement that deletes the resource.
pub fn deletion(resource: Resource) -> String {
    statement("delete", resource)
}

/// The name of the statement that finds out why a deletion of the resource deleted nothing.
pub fn inspection(resource: Resource) -> String {
    statement("inspect", resource)
}

/// Every step of the one statement of a deletion, from the first to the commit. A step with rows is listed for every row.
pub fn steps(resource: Resource, ids: &[Uuid]) -> Vec<(String, Option<Uuid>)> {
    let (statement, table) = (deletion(resource), table(resource));
    let mut steps = vec![(format!("{statement}: reads customer"), None)];
    for step in ["reads", "before update of", "after update of"] {
        let positions = ids.iter().map(|id| (format!("{statement}: {step} {table}"), Some(*id)));
        steps.extend(positions);
    }
    steps.push((format!("{statement}: before insert of operation"), None));
    steps.push((format!("{statement}: after insert of operation"), None));
    steps.push(("commit: after insert of operation".to_owned(), None));
    steps
}
