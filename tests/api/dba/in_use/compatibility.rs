//! A build on a schema that is newer or older than the build.

use customer_deletion::resource::Resource;
use customer_deletion::schema;
use sqlx::Connection;

use super::{PATIENCE, migrate, with_later_migrations};
use crate::support::database::revert_to;
use crate::support::process::{command, output};
use crate::support::{TestDatabase, TestService};

const BREAKING: &str = "
    alter table contact rename column deleted_by to deleted_in;
    insert into schema_version (version, oldest_build) values (9001, 9001);";
const BREAKING_DOWN: &str = "
    delete from schema_version where version = 9001;
    alter table contact rename column deleted_in to deleted_by;";

async fn readiness(service: &TestService) -> (u16, String) {
    let ready = service.management("/health/ready").await;
    (ready.status, ready.text)
}

#[tokio::test]
async fn a_build_is_ready_on_a_newer_schema_that_works_with_it() {
    let database = TestDatabase::migrated().await;
    migrate(&database, &with_later_migrations().await, PATIENCE).await.0.unwrap();
    let service = TestService::start_on(database, |_| {}).await;
    let family = service.world.family().await;

    assert_eq!(readiness(&service).await.0, 200);
    for resource in Resource::ALL {
        let customer = family.in_scope(resource);
        let row = service.world.row(resource, customer).await;
        service.delete_one(family.requester, customer, resource, row).await.assert_deleted();
    }
    let migrate = output(command(&["migrate"]).env("DATABASE_URL", &service.database.url));
    assert_eq!(String::from_utf8_lossy(&migrate.stdout), "the schema is up to date, at version 9007\n");
}

#[tokio::test]
async fn a_build_is_not_ready_on_a_newer_schema_that_breaks_it_until_that_is_reverted() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let delete = || service.delete_one(family.requester, family.sub_customer, Resource::Contact, contact);
    assert_eq!(readiness(&service).await.0, 200);

    sqlx::raw_sql(BREAKING).execute(pool).await.unwrap();

    let (status, reason) = readiness(&service).await;
    assert_eq!(status, 503);
    assert!(reason.contains("newer migrations do not work with it: [9001]"), "{reason}");
    delete().await.assert_failed(503, "GLOBAL_1001", "Service unavailable. Please try again");
    let operations: i64 = sqlx::query_scalar("select count(*) from operation").fetch_one(pool).await.unwrap();
    assert_eq!(operations, 0);
    let migrate = output(command(&["migrate"]).env("DATABASE_URL", &service.database.url));
    assert_eq!(migrate.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&migrate.stderr).contains("migration 9001 is unknown to it"));

    sqlx::raw_sql(BREAKING_DOWN).execute(pool).await.unwrap();

    assert_eq!(readiness(&service).await.0, 200);
    delete().await.assert_deleted();
}

#[tokio::test]
async fn a_build_is_not_ready_on_an_older_schema_until_it_is_migrated_and_granted() {
    let service = TestService::start().await;
    let mut connection = sqlx::PgConnection::connect(&service.database.url).await.unwrap();
    revert_to(&mut connection, 10).await;

    let (status, reason) = readiness(&service).await;
    let expected = schema::expected_version();
    assert_eq!(status, 503);
    assert!(reason.contains(&format!("at version 10, and this build is made for version {expected}")), "{reason}");

    schema::migrate(&service.database.url.parse().unwrap()).await.unwrap();
    let (status, reason) = readiness(&service).await;
    assert_eq!(status, 503);
    assert!(
        reason.contains("is not granted select on product, update on product, select on product_allocation"),
        "{reason}"
    );
    service.database.grant().await;
    assert_eq!(readiness(&service).await.0, 200);
}
