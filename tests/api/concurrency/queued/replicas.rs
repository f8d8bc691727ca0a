//! Several replicas share one queue: each operation is executed once.

use customer_deletion::resource::Resource;
use futures_util::future::join_all;
use uuid::Uuid;

use super::{accept, assert_agreement, ended, waiting};
use crate::support::TestService;

#[tokio::test]
async fn replicas_share_the_work_and_execute_nothing_twice() {
    const OPERATIONS: usize = 60;
    let service = TestService::start().await;
    let family = service.world.family().await;
    let rows = service.world.rows(Resource::Contact, family.sub_customer, OPERATIONS * 2).await;
    let accepted =
        rows.chunks(2).map(|ids| accept(&service, family.requester, family.sub_customer, Resource::Contact, ids));
    let accepted: Vec<Uuid> = join_all(accepted).await;

    let replicas = join_all((0..3).map(|_| TestService::beside(&service, |settings| settings.queue.workers = 2))).await;
    for operation in accepted {
        let ended = ended(&service, family.requester, operation).await;
        assert_eq!(ended["status"], "SUCCESS", "{ended}");
    }
    drop(replicas);
    assert_agreement(&service.database.pool).await;
    assert_eq!(waiting(&service.database.pool).await, 0);
    assert_eq!(service.world.deleted(Resource::Contact, &rows).await.len(), rows.len());
}

/// An idle worker is woken by what its own replica accepts, and polls for what other replicas accept.
#[tokio::test]
async fn an_operation_that_one_replica_accepts_is_executed_by_another() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let _worker = TestService::beside(&service, |settings| settings.queue.workers = 1).await;
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    let row = service.world.contact(family.sub_customer).await;
    let operation = accept(&service, family.requester, family.sub_customer, Resource::Contact, &[row]).await;
    assert_eq!(ended(&service, family.requester, operation).await["status"], "SUCCESS");
}

/// While a newer build is rolled out beside this one.
#[tokio::test]
async fn an_operation_with_a_word_of_a_newer_build_is_left_to_that_build() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let rows = service.world.rows(Resource::Contact, family.sub_customer, 2).await;
    let mut accepted = Vec::new();
    for row in &rows {
        accepted.push(accept(&service, family.requester, family.sub_customer, Resource::Contact, &[*row]).await);
    }
    sqlx::raw_sql("alter type resource add value 'voucher'").execute(pool).await.unwrap();
    let newer = "update operation set resource = 'voucher' where id = $1";
    sqlx::query(newer).bind(accepted[0]).execute(pool).await.unwrap();

    let _worker = TestService::beside(&service, |settings| settings.queue.workers = 1).await;
    assert_eq!(ended(&service, family.requester, accepted[1]).await["status"], "SUCCESS");
    let attempts: Vec<i32> = sqlx::query_scalar("select attempts from operation_queue").fetch_all(pool).await.unwrap();
    assert_eq!(attempts, [0]);
}
