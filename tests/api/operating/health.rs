//! Whether the service is ready, and why not.

use customer_deletion::resource::Resource;
use customer_deletion::schema;
use sqlx::postgres::PgConnectOptions;

use crate::support::process::Process;
use crate::support::service::{send, until_somebody_waits, waiting_for_locks};
use crate::support::{TestDatabase, TestService, client, until};

async fn assert_not_ready(service: &TestService, reason: &str) {
    let ready = service.management("/health/ready").await;
    assert_eq!((ready.status, ready.json()["status"].as_str()), (503, Some("DOWN")), "{}", ready.text);
    assert!(ready.text.contains(reason), "{}", ready.text);
}

async fn assert_ready(service: &TestService) {
    let ready = service.management("/health/ready").await;
    assert_eq!((ready.status, ready.text.as_str()), (200, r#"{"status":"UP"}"#));
}

#[tokio::test]
async fn a_service_with_its_database_is_live_and_ready() {
    let service = TestService::start().await;
    assert_ready(&service).await;
    assert_eq!(service.management("/health/live").await.status, 200);
}

/// Each service verifies the schema when it starts.
#[tokio::test]
async fn a_call_that_comes_while_the_schema_is_verified_waits_for_that_and_verifies_nothing_itself() {
    let database = TestDatabase::migrated().await;
    let pool = database.pool.clone();
    let mut holding = pool.begin().await.unwrap();
    sqlx::raw_sql("lock table schema_version").execute(&mut *holding).await.unwrap();
    // The session of a worker would wait for the table as well.
    let process = Process::serve_with(&database.url, &[("CUSTOMER_DELETION__QUEUE__WORKERS", "0")]);
    until_somebody_waits(&pool).await;

    let call = client().get(format!("http://{}/api/v3/global/call", process.address));
    let call = tokio::spawn(send(call.header("X-Requester-Id", uuid::Uuid::now_v7().to_string())));
    until(async || process.in_flight().await > 0.0).await;
    // Long enough for a second verification to wait for the table too.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;

    assert_eq!((waiting_for_locks(&pool).await, call.is_finished()), (1, false));
    holding.rollback().await.unwrap();
    assert_eq!(call.await.unwrap().status, 200);
}

#[tokio::test]
async fn without_a_schema_it_is_not_ready_and_becomes_so_by_itself() {
    let service = TestService::start_on(TestDatabase::empty().await, |_| {}).await;
    assert_not_ready(&service, "customer-deletion migrate").await;
    let somebody = uuid::Uuid::now_v7();
    let answer = service.delete_one(somebody, somebody, Resource::Zone, somebody).await;
    answer.assert_failed(503, "GLOBAL_1001", "Service unavailable. Please try again");

    let options: PgConnectOptions = service.database.url.parse().unwrap();
    schema::migrate(&options).await.unwrap();
    assert_not_ready(&service, "permission denied").await;
    assert_not_ready(&service, "deploy/postgres/roles.sql").await;
    service.database.grant().await;

    assert_ready(&service).await;
    let answer = service.delete_one(somebody, somebody, Resource::Zone, somebody).await;
    answer.assert_failed(404, "CUSTOMER_1002", "Customer does not exist");
}

#[tokio::test]
async fn against_an_older_or_newer_schema_it_is_not_ready_and_changes_nothing() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let zone = service.world.zone(family.requester).await;
    let expected = schema::expected_version();
    let previous: i64 = sqlx::query_scalar("select max(version) from schema_version where version < $1")
        .bind(expected)
        .fetch_one(pool)
        .await
        .unwrap();

    for (change, undo, found) in [
        (
            "delete from schema_version where version = 9 and $1::bigint > 9",
            "insert into schema_version (version) select 9 where $1::bigint > 9",
            expected,
        ),
        ("delete from schema_version where version = $1", "insert into schema_version (version) values ($1)", previous),
        (
            "insert into schema_version (version) values ($1 + 1)",
            "delete from schema_version where version = $1 + 1",
            expected + 1,
        ),
    ] {
        sqlx::query(change).bind(expected).execute(pool).await.unwrap();
        assert_not_ready(&service, &format!("at version {found}, and this build is made for version {expected}")).await;
        let answer = service.delete_one(family.requester, family.requester, Resource::Zone, zone).await;
        answer.assert_failed(503, "GLOBAL_1001", "Service unavailable. Please try again");
        sqlx::query(undo).bind(expected).execute(pool).await.unwrap();
        assert_ready(&service).await;
    }
    service.delete_one(family.requester, family.requester, Resource::Zone, zone).await.assert_deleted();
}
