//! Migrations while calls keep coming.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use customer_deletion::resource::Resource;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::load::{Load, Report};
use super::{Told, migrate_and_tell, with_later_migrations};
use crate::support::{TestPool, TestService};

/// The time for which another service locks a row. It is longer than any call may take during migrations.
const HOLD: Duration = Duration::from_secs(5);

/// The report of the first of the migrations when a session blocks it.
const WAITED: &str = "migration 9001 (contact department) waits for session ";

/// Another service that changes a contact, and commits late, again and again. Once the migrations have begun, it stops when one
/// has reported that it waits. Notifies when it has locked the contact.
async fn change_slowly(pool: TestPool, contact: Uuid, held: Arc<Notify>, migrating: Arc<AtomicBool>, told: Told) {
    loop {
        let mut tx = pool.begin().await.unwrap();
        let change = "update contact set remarks = 'called' where id = $1";
        sqlx::query(change).bind(contact).execute(&mut *tx).await.unwrap();
        held.notify_one();
        sleep(HOLD).await;
        if migrating.load(Ordering::SeqCst) {
            told.until(WAITED).await;
        }
        tx.commit().await.unwrap();
        sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrations_behind_long_transactions_fail_no_call() {
    migrate_behind_long_transactions().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures: takes some seconds; cargo test --test api -- --ignored long_transactions_stall"]
async fn migrations_behind_long_transactions_stall_no_call() {
    migrate_behind_long_transactions().await.assert_no_stall();
}

async fn migrate_behind_long_transactions() -> Report {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let (migrating, told) = (Arc::<AtomicBool>::default(), Told::default());
    let load = Load::start(&[service.address], pool, family, 4);
    load.until_answered(20).await;

    let migrator = with_later_migrations().await;
    let held = Arc::<Notify>::default();
    let changing = change_slowly(pool.clone(), contact, Arc::clone(&held), Arc::clone(&migrating), told.clone());
    let _slow = AbortOnDropHandle::new(tokio::spawn(changing));
    timeout(Duration::from_secs(60), held.notified()).await.expect("the other service holds the contact");
    migrating.store(true, Ordering::SeqCst);
    let result = migrate_and_tell(&service.database, &migrator, Duration::from_secs(60), &told).await;

    load.until_answered(20).await;
    let report = load.stop().await;
    let told = told.lines();
    assert_eq!(result.unwrap().1, 9007, "{told:?}");
    report.assert_no_failure();
    assert!(told.iter().any(|line| line.starts_with(WAITED)), "{told:?}");
    assert!(told.iter().any(|line| line.contains("9001") && line.contains("lets the others go first")), "{told:?}");
    // The build that was running all the time does not know these migrations.
    service.until_ready().await;
    let contact = service.world.contact(family.sub_customer).await;
    service.delete_one(family.requester, family.sub_customer, Resource::Contact, contact).await.assert_deleted();
    crate::support::audit::assert_agreement(pool).await;
    report
}
