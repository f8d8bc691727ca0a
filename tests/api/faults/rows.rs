//! Transactions of others that lock the rows of calls, and each timeout by itself.

use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use futures_util::future::join_all;
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use super::trial::{Trial, reasons, rounds};
use crate::support::process::{IMPATIENT, Process};
use crate::support::service::{Answer, collection, send};
use crate::support::world::Family;
use crate::support::{StallWatch, TestDatabase, TestPool, World, body, client};

/// The time for which another transaction locks rows.
fn holding_time() -> Duration {
    let seconds = std::env::var("FAULT_LOCK_SECONDS").map_or(10, |seconds| seconds.parse().expect("a number"));
    Duration::from_secs(seconds)
}

struct Scene {
    database: TestDatabase,
    world: World,
    family: Family,
    process: Process,
}

impl Scene {
    async fn begin(environment: &[(&str, &str)]) -> Scene {
        let database = TestDatabase::migrated().await;
        let world = World::new(database.pool.clone());
        let family = world.family().await;
        let process = Process::serve_with(&database.url, &[&IMPATIENT[..], environment].concat());
        Scene { database, world, family, process }
    }

    /// Contacts that another transaction locks until it ends.
    async fn held_contacts(&self, count: usize) -> (Vec<Uuid>, Transaction<'static, Postgres>) {
        let contacts = self.world.rows(Resource::Contact, self.family.sub_customer, count).await;
        let mut holding = self.database.pool.begin().await.unwrap();
        sqlx::query("select from contact where id = any($1) for update")
            .bind(&contacts)
            .execute(&mut *holding)
            .await
            .unwrap();
        (contacts, holding)
    }

    /// The answer, and how long it took without stalls of the machine.
    async fn delete(&self, contact: Uuid) -> (Answer, Duration) {
        let watch = StallWatch::start();
        let path = collection(self.family.sub_customer, Resource::Contact);
        let call = client()
            .delete(format!("http://{}{path}", self.process.address))
            .header("X-Requester-Id", self.family.requester.to_string())
            .body(body(&[contact]));
        let answer = send(call).await;
        (answer, watch.took())
    }

    /// Sends calls for locked rows again and again, and asserts that each answer is a 503 and in time. Returns the ids of the
    /// calls.
    async fn ask_in_vain(&self, contacts: &[Uuid], lasts: Duration) -> Vec<Uuid> {
        let until = Instant::now() + lasts;
        let calls = join_all(contacts.iter().map(|contact| async move {
            let mut calls = Vec::new();
            while Instant::now() < until {
                let (answer, took) = self.delete(*contact).await;
                calls.push(answer.assert_failed(503, "GLOBAL_1001", "Service unavailable. Please try again"));
                assert!(took < Duration::from_secs(5), "{took:?}");
            }
            calls
        }));
        calls.await.concat()
    }

    /// Asserts that a call deletes the contact now, or that one of the earlier calls has. A call that had to wait for a session
    /// keeps waiting for the row after its deadline, and may get it once nobody locks it.
    async fn assert_deletes_or_has_deleted(&self, contact: Uuid, earlier_calls: &[Uuid]) {
        let (answer, _) = self.delete(contact).await;
        let deleted_by: Uuid =
            sqlx::query_scalar("select deleted_by from contact where id = $1 and deleted_at is not null")
                .bind(contact)
                .fetch_one(&self.database.pool)
                .await
                .expect("the contact is deleted");
        if earlier_calls.contains(&deleted_by) {
            answer.assert_failed(404, "CUSTOMER_1017", "Unknown Contact ID");
        } else {
            assert_eq!(answer.assert_deleted(), deleted_by);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a fault under load: takes a quarter of a minute; cargo test --test api -- --ignored faults"]
async fn rows_that_are_locked_for_long_hold_up_nobody_else() {
    let scene = Scene::begin(&[]).await;
    let pool: &TestPool = &scene.database.pool;
    let mut trial = Trial::begin("a transaction holds wanted rows", pool, scene.family, &scene.process).await;
    for _ in 0..rounds(1) {
        let (contacts, holding) = scene.held_contacts(3).await;
        let mut calls = Vec::new();
        let fault = async || {
            calls = scene.ask_in_vain(&contacts, holding_time()).await;
            holding.rollback().await.unwrap();
            Instant::now()
        };
        trial.disturb_for(pool, holding_time(), fault).await;
        for contact in contacts {
            scene.assert_deletes_or_has_deleted(contact, &calls).await;
        }
    }
    let seen = trial.end(pool).await;
    seen.assert_not_noticed(&scene.process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a fault under load: takes a quarter of a minute; cargo test --test api -- --ignored faults"]
async fn a_pool_that_is_exhausted_is_served_again_when_it_is_not() {
    let scene = Scene::begin(&[("CUSTOMER_DELETION__DATABASE__MAX_CONNECTIONS", "2")]).await;
    let pool: &TestPool = &scene.database.pool;
    let mut trial = Trial::begin("pool of 2 exhausted", pool, scene.family, &scene.process).await;
    for _ in 0..rounds(1) {
        let (contacts, holding) = scene.held_contacts(8).await;
        let fault = async || {
            scene.ask_in_vain(&contacts, Duration::from_secs(4)).await;
            holding.rollback().await.unwrap();
            Instant::now()
        };
        trial.disturb(pool, fault).await;
    }
    trial.end(pool).await;
    // Two of the first eight calls for locked rows have both connections, and when they give up two more. Four get none in
    // time.
    let reasons = reasons(&scene.process);
    let exhausted = reasons.iter().filter(|(reason, _)| reason.contains("no connection came free"));
    let exhausted: usize = exhausted.map(|(_, count)| count).sum();
    assert!(exhausted >= 4 * rounds(1), "there were enough connections: {reasons:?}");
}

async fn assert_given_up(process: &Process, (answer, _): (Answer, Duration), reason: &str) {
    answer.assert_failed(503, "GLOBAL_1001", "Service unavailable. Please try again");
    let began = Instant::now();
    while reasons(process).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(10), "the call has no line in the log");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let reasons = reasons(process);
    assert!(reasons.len() == 1 && reasons.keys().all(|given| given.contains(reason)), "{reasons:?}");
}

#[tokio::test]
#[ignore = "a fault under load: takes a quarter of a minute; cargo test --test api -- --ignored faults"]
async fn the_wait_for_a_lock_has_a_limit_of_its_own() {
    let scene = Scene::begin(&[]).await;
    let (contacts, holding) = scene.held_contacts(1).await;
    assert_given_up(&scene.process, scene.delete(contacts[0]).await, "lock timeout").await;
    holding.rollback().await.unwrap();
    scene.delete(contacts[0]).await.0.assert_deleted();
}

/// The limit also holds for a statement that waits for no lock.
#[tokio::test]
#[ignore = "a fault under load: takes a quarter of a minute; cargo test --test api -- --ignored faults"]
async fn a_statement_has_a_limit_of_its_own() {
    let scene = Scene::begin(&[]).await;
    let contact = scene.world.contact(scene.family.sub_customer).await;
    sqlx::raw_sql(
        "create function slowly() returns trigger language plpgsql as $$ begin perform pg_sleep(10); return new; end $$;
         create trigger slowly before update on contact for each row execute function slowly();",
    )
    .execute(&scene.database.pool)
    .await
    .unwrap();
    assert_given_up(&scene.process, scene.delete(contact).await, "statement timeout").await;
    sqlx::raw_sql("drop trigger slowly on contact").execute(&scene.database.pool).await.unwrap();
    scene.delete(contact).await.0.assert_deleted();
}
