//! A validation does not write, lock, wait for rows, share a statement, or use a standby.

use customer_deletion::config::{DatabaseSettings, QueueSettings};
use customer_deletion::operation::{Deletion, IdempotencyKey, TargetIds};
use customer_deletion::repository::Repository;
use customer_deletion::resource::Resource;
use futures_util::future::join_all;
use sqlx::{AssertSqlSafe, Row};
use uuid::Uuid;

use super::deletion;
use super::everything::everything;
use crate::support::database::as_service;
use crate::support::resources::{statement, table};
use crate::support::service::{Answer, end_sessions, patient, send, validating};
use crate::support::world::Family;
use crate::support::{TestService, postgres};

/// A row of each resource, and a call about it.
struct Rows<'a> {
    service: &'a TestService,
    family: Family,
    rows: Vec<(Resource, Uuid)>,
}

impl Rows<'_> {
    async fn of(service: &TestService) -> Rows<'_> {
        let family = service.world.family().await;
        let mut rows = Vec::new();
        for resource in Resource::ALL {
            rows.push((resource, service.world.row(resource, family.in_scope(resource)).await));
        }
        Rows { service, family, rows }
    }

    async fn validate(&self, resource: Resource, id: Uuid) -> Answer {
        send(validating(self.call(resource, id))).await
    }

    fn call(&self, resource: Resource, id: Uuid) -> reqwest::RequestBuilder {
        let Family { requester, .. } = self.family;
        let call = deletion(self.service, requester, self.family.in_scope(resource), resource, &[id]);
        call.header("Idempotency-Key", id.to_string())
    }

    /// For each resource, one call that would succeed, and one that would be refused.
    async fn assert_validated(&self) {
        for (resource, id) in &self.rows {
            self.validate(*resource, *id).await.assert_deleted();
            let refused = self.validate(*resource, Uuid::now_v7()).await;
            assert_eq!(refused.status, 404, "{}", refused.text);
        }
    }

    async fn assert_all_deletions_are_unavailable(&self) {
        let calls = self.rows.iter().map(|(resource, id)| send(self.call(*resource, *id)));
        for answer in join_all(calls).await {
            answer.assert_failed(503, "GLOBAL_1001", "Service unavailable. Please try again");
        }
    }
}

/// Deletions wait for these locks until they give up.
#[tokio::test]
async fn a_validation_waits_for_no_lock() {
    let service = TestService::start().await;
    let rows = Rows::of(&service).await;
    rows.assert_validated().await;
    let mut others = service.database.pool.begin().await.unwrap();
    let tables = Resource::ALL.map(table).join(", ");
    sqlx::raw_sql(AssertSqlSafe(format!(
        "select from customer for update; update contact set customer_id = gen_random_uuid() where false;
         update zone set name = 'another';
         lock table {tables}, customer, subscriber, sell_plan, operation in exclusive mode"
    )))
    .execute(&mut *others)
    .await
    .unwrap();

    rows.assert_validated().await;
    rows.assert_all_deletions_are_unavailable().await;
    others.rollback().await.unwrap();
}

/// A lock of a row needs the right to update it, too. The repository is called directly, because a service checks the rights of
/// its role every few seconds, and reads nothing if one is missing.
#[tokio::test]
async fn a_validation_needs_no_right_but_to_read() {
    let service = TestService::start().await;
    let rows = Rows::of(&service).await;
    let settings = DatabaseSettings { url: Some(as_service(&service.database.url).into()), ..patient() };
    let repository = Repository::new(&settings, &QueueSettings::default(), None, settings.connect_options().unwrap());
    repository.check().await.unwrap();
    sqlx::raw_sql("revoke insert, update, delete on all tables in schema public from customer_deletion_service")
        .execute(&service.database.pool)
        .await
        .unwrap();

    for (resource, id) in &rows.rows {
        for (id, refused) in [(*id, false), (Uuid::now_v7(), true)] {
            let deletion = Deletion {
                actor: None,
                operation_id: Uuid::now_v7(),
                requester_id: rows.family.requester,
                customer_id: rows.family.in_scope(*resource),
                resource: *resource,
                targets: TargetIds::one(id),
                idempotency_key: IdempotencyKey::new(&id.to_string()),
            };
            let outcome = repository.validate(deletion, ()).await.unwrap();
            assert_eq!(outcome.refusal.is_some(), refused, "{resource:?}: {outcome:?}");
        }
    }
    repository.close().await;
    rows.assert_all_deletions_are_unavailable().await;
    assert_eq!(service.world.operations().await, 0);
}

#[tokio::test]
async fn a_validation_reads_with_three_statements_at_most_and_logs_nothing_to_the_wal() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let rows = Rows::of(&service).await;
    rows.assert_validated().await;
    let statements = "
        select split_part(substr(query, 4), ':', 1) as name, calls, wal_records
        from pg_stat_statements
        where dbid = (select oid from pg_database where datname = current_database()) and query like '-- %'
          -- The service reads these by itself, again and again.
          and query not like '-- check_schema:%' and query not like '-- check_role:%'
          and query not like '-- measure_queue:%'
        order by name";
    let _ = sqlx::raw_sql("create extension pg_stat_statements").execute(pool).await;
    let reset =
        "select pg_stat_statements_reset(0, (select oid from pg_database where datname = current_database()), 0)";
    let _ = sqlx::raw_sql(reset).execute(pool).await;

    rows.assert_validated().await;

    let counted = match sqlx::query(statements).fetch_all(pool).await {
        Ok(counted) => counted,
        Err(error) => {
            assert!(!postgres::is_complete(), "{error}");
            return eprintln!("skipped: this server does not count statements ({error})");
        }
    };
    let counted: Vec<(String, i64, i64)> = counted.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    // Each resource is validated twice.
    let calls = 2 * Resource::ALL.len() as i64;
    let mut expected = Resource::ALL.map(|resource| (statement("inspect", resource), 2, 0)).to_vec();
    expected.extend(["check_writable", "replay_operation"].map(|name| (name.to_owned(), calls, 0)));
    expected.sort();
    assert_eq!(counted, expected);
}

#[tokio::test]
async fn calls_that_wait_for_a_session_are_validated_one_by_one() {
    let service = TestService::start_with(|settings| settings.database.max_connections = 1).await;
    let family = service.world.family().await;
    let contacts = service.world.rows(Resource::Contact, family.sub_customer, 40).await;
    let before = everything(&service.database.pool).await;

    let calls = contacts.iter().map(|contact| {
        let ids = std::slice::from_ref(contact);
        deletion(&service, family.requester, family.sub_customer, Resource::Contact, ids)
    });
    for answer in join_all(calls.map(|call| send(validating(call)))).await {
        answer.assert_deleted();
    }

    assert_eq!(everything(&service.database.pool).await, before);
}

/// A standby may show old rows, and a deletion would fail there.
#[tokio::test]
async fn a_server_that_takes_no_writes_is_not_asked() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let rows = Rows::of(&service).await;
    rows.assert_validated().await;
    let set = |value: &str| {
        let name = service.database.url.split('?').next().unwrap().rsplit_once('/').unwrap().1.to_owned();
        AssertSqlSafe(format!("alter database {name} set default_transaction_read_only = {value}"))
    };

    // Every new session of the service is read-only.
    sqlx::raw_sql(set("on")).execute(pool).await.unwrap();
    end_sessions(pool).await;
    let (resource, id) = rows.rows[0];
    let validated = rows.validate(resource, id).await;
    validated.assert_failed(503, "GLOBAL_1001", "Service unavailable. Please try again");
    assert_eq!(validated.header("Retry-After"), Some("1"));

    // A session that was left on such a server is replaced, and the call is served.
    sqlx::raw_sql(set("off")).execute(pool).await.unwrap();
    rows.validate(resource, id).await.assert_deleted();
}
