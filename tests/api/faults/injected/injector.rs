//! A service whose database fails where and how a test wants it to.

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

/// One error at one place.
#[derive(Clone, Debug)]
pub struct Fault {
    /// As `injector.sql` names it.
    pub place: String,
    /// The row at which it is raised; whichever comes first where there is none.
    pub row: Option<Uuid>,
    pub sqlstate: &'static str,
    /// How often the place fails before it goes through.
    pub times: i64,
    /// How many seconds it takes to fail.
    pub delay: f64,
    /// The operation whose attempts are counted, instead of how often the place is reached.
    pub operation: Option<Uuid>,
}

impl Fault {
    pub fn new(place: impl Into<String>, sqlstate: &'static str) -> Fault {
        Fault { place: place.into(), row: None, sqlstate, times: ALWAYS, delay: 0.0, operation: None }
    }

    pub fn at_row(self, row: Option<Uuid>) -> Fault {
        Fault { row, ..self }
    }

    pub fn times(self, times: i64) -> Fault {
        Fault { times, ..self }
    }

    /// In the first attempts at the operation.
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

    /// From now on the place of the fault fails, and its tries are counted from one.
    pub async fn inject(&self, fault: &Fault) {
        self.heal().await;
        self.inject_also(fault).await;
    }

    /// Beside the faults that are there.
    pub async fn inject_also(&self, fault: &Fault) {
        sqlx::query("insert into fault values ($1, $2, $3, $4, $5, $6)")
            .bind(&fault.place)
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

    /// How often the place of the fault was reached.
    pub async fn tries(&self) -> i64 {
        sqlx::query_scalar("select case when is_called then last_value else 0 end from reached")
            .fetch_one(self.pool())
            .await
            .unwrap()
    }

    /// A call about rows of the customer that a deletion of the resource must name, under a key.
    ///
    /// A busy machine may give the call no session in time. Then the call did not come to the fault, and is sent again.
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

    /// The same by a caller that does not wait.
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

/// The name of the statement that looks why a deletion of the resource did not go through.
pub fn inspection(resource: Resource) -> String {
    statement("inspect", resource)
}

/// Every place of the one statement of a deletion, at every row where it has rows, from the first to the commit.
pub fn places(resource: Resource, ids: &[Uuid]) -> Vec<(String, Option<Uuid>)> {
    let (statement, table) = (deletion(resource), table(resource));
    let mut places = vec![(format!("{statement}: reads customer"), None)];
    for place in ["reads", "before update of", "after update of"] {
        let positions = ids.iter().map(|id| (format!("{statement}: {place} {table}"), Some(*id)));
        places.extend(positions);
    }
    places.push((format!("{statement}: before insert of operation"), None));
    places.push((format!("{statement}: after insert of operation"), None));
    places.push(("commit: after insert of operation".to_owned(), None));
    places
}
