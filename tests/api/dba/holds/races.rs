//! A hold that is placed while a purge erases: once it is committed, no row goes.

use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use sqlx::PgPool;
use uuid::Uuid;

use super::hold;
use crate::dba::maintenance::{age_rows, rows, run, told};
use crate::support::{TestDatabase, World};

/// Contacts of one customer that were deleted long ago.
async fn expired_contacts(database: &TestDatabase, count: usize) -> (Uuid, Vec<Uuid>) {
    let world = World::new(database.pool.clone());
    let customer = world.customer(None).await;
    let contacts = world.rows(Resource::Contact, customer, count).await;
    age_rows(&database.pool, Resource::Contact, &contacts, 91).await;
    (customer, contacts)
}

async fn until<F: Future<Output = bool>>(condition: impl Fn() -> F) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < Duration::from_secs(20), "it does not come to that");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn somebody_waits_for_the_lock(pool: &PgPool) -> bool {
    let sql = "select exists (
        select from pg_locks
        where locktype = 'advisory' and not granted
          and database = (select oid from pg_database where datname = current_database())
      )";
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn no_row_goes_after_a_hold_is_placed_in_the_middle_of_a_purge() {
    let database = TestDatabase::migrated().await;
    let (customer, contacts) = expired_contacts(&database, 300).await;
    let arguments = ["purge", "--older-than", "90d", "--batch-size", "1", "--pause", "1"];
    let purge = run(&database, &arguments);
    let holding = async {
        until(|| async { rows(&database.pool, "contact").await < 295 }).await;
        hold(&database, customer, "case 12/34").await;
        rows(&database.pool, "contact").await
    };

    let (said, left) = tokio::join!(purge, holding);

    let said = said.done();
    assert!((1..295).contains(&left), "{left}: {said}");
    assert_eq!(rows(&database.pool, "contact").await, left, "{said}");
    assert_eq!(told(&said, "contact"), contacts.len() as u64 - left as u64);
    assert!(said.contains(&format!("left, because of legal holds: {left}\n  customer {customer}: {left}\n")), "{said}");
}

#[tokio::test]
async fn a_hold_waits_for_a_batch_that_has_begun() {
    let database = TestDatabase::migrated().await;
    let (customer, contacts) = expired_contacts(&database, 2).await;
    let mut batch = database.pool.begin().await.unwrap();
    sqlx::query("delete from contact where id = $1").bind(contacts[0]).execute(&mut *batch).await.unwrap();

    let placing = hold(&database, customer, "case 12/34");
    let ending = async {
        until(|| somebody_waits_for_the_lock(&database.pool)).await;
        assert_eq!(rows(&database.pool, "legal_hold").await, 0);
        batch.commit().await.unwrap();
    };
    tokio::join!(placing, ending);

    assert_eq!((rows(&database.pool, "contact").await, rows(&database.pool, "legal_hold").await), (1, 1));
}

/// A customer that is erased meanwhile is not put under hold.
#[tokio::test]
async fn a_hold_on_a_customer_that_is_being_erased_is_refused() {
    let database = TestDatabase::migrated().await;
    let customer = World::new(database.pool.clone()).customer(None).await;
    let mut batch = database.pool.begin().await.unwrap();
    sqlx::query("delete from customer where id = $1").bind(customer).execute(&mut *batch).await.unwrap();

    let id = customer.to_string();
    let arguments = ["hold", "--customer", &id, "--reason", "case 12/34"];
    let placing = run(&database, &arguments);
    let ending = async {
        until(|| somebody_waits_for_the_lock(&database.pool)).await;
        batch.commit().await.unwrap();
    };
    let (said, ()) = tokio::join!(placing, ending);

    said.refused(&["no customer has the id"]);
    assert_eq!(rows(&database.pool, "legal_hold").await, 0);
}

#[tokio::test]
async fn a_purge_does_not_pass_a_hold_that_is_being_committed() {
    let database = TestDatabase::migrated().await;
    let (customer, _) = expired_contacts(&database, 2).await;
    let mut placing = database.pool.begin().await.unwrap();
    let insert = "insert into legal_hold (id, customer_id, reason) values (gen_random_uuid(), $1, 'case 12/34')";
    sqlx::query(insert).bind(customer).execute(&mut *placing).await.unwrap();

    let purge = run(&database, &["purge", "--older-than", "90d"]);
    let ending = async {
        until(|| somebody_waits_for_the_lock(&database.pool)).await;
        placing.commit().await.unwrap();
    };
    let (said, ()) = tokio::join!(purge, ending);

    let said = said.done();
    assert_eq!((told(&said, "contact"), rows(&database.pool, "contact").await), (0, 2), "{said}");
}
