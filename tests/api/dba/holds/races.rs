//! A hold that is placed while a purge erases rows: once it is committed, no row is erased.

use customer_deletion::resource::Resource;
use uuid::Uuid;

use super::hold;
use crate::dba::maintenance::{age_rows, rows, run, told};
use crate::support::{TestDatabase, World, until};

/// Contacts of one customer that were deleted long ago.
async fn expired_contacts(database: &TestDatabase, count: usize) -> (Uuid, Vec<Uuid>) {
    let world = World::new(database.pool.clone());
    let customer = world.customer(None).await;
    let contacts = world.rows(Resource::Contact, customer, count).await;
    age_rows(&database.pool, Resource::Contact, &contacts, 91).await;
    (customer, contacts)
}

/// The sixth of ten contacts is deleted only after a hold is committed. The guard of the row has run before, because triggers
/// run in the order of their names.
const IN_THE_MIDDLE: &str = "
    create function wait_for_a_hold() returns trigger language plpgsql security definer as $$
    begin
      if (select count(*) from contact) <> 5 then
        return old;
      end if;
      for wait in 1..3000 loop
        if exists (select from legal_hold) then
          return old;
        end if;
        perform pg_sleep(0.01);
      end loop;
      raise exception 'no hold was placed';
    end $$;
    create trigger zz_wait_for_a_hold before delete on contact for each row execute function wait_for_a_hold();";

#[tokio::test]
async fn no_row_goes_after_a_hold_is_placed_in_the_middle_of_a_purge() {
    let database = TestDatabase::migrated().await;
    let (customer, contacts) = expired_contacts(&database, 10).await;
    sqlx::raw_sql(IN_THE_MIDDLE).execute(&database.pool).await.unwrap();
    let arguments = ["purge", "--older-than", "90d", "--batch-size", "1", "--pause", "1"];
    let purge = run(&database, &arguments);
    let holding = async {
        // The sixth batch has begun. On a busy machine, that is long after the end of the fifth.
        let waits = "select exists (
            select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'
        )";
        until(|| async { sqlx::query_scalar::<_, bool>(waits).fetch_one(&database.pool).await.unwrap() }).await;
        hold(&database, customer, "case 12/34").await;
        rows(&database.pool, "contact").await
    };

    let (said, left) = tokio::join!(purge, holding);

    let said = said.done();
    assert_eq!(left, 4, "the batch that had begun ends, and no other begins: {said}");
    assert_eq!(rows(&database.pool, "contact").await, left, "{said}");
    assert_eq!(told(&said, "contact"), contacts.len() as u64 - left as u64);
    assert!(said.contains(&format!("left, because of legal holds: {left}\n  customer {customer}: {left}\n")), "{said}");
}

#[tokio::test]
async fn a_hold_is_in_force_before_it_waits_for_the_batches_that_have_begun() {
    let database = TestDatabase::migrated().await;
    let (customer, contacts) = expired_contacts(&database, 2).await;
    let mut batch = database.pool.begin().await.unwrap();
    sqlx::query("delete from contact where id = $1").bind(contacts[0]).execute(&mut *batch).await.unwrap();

    let placing = hold(&database, customer, "case 12/34");
    let ending = async {
        until(|| async { rows(&database.pool, "legal_hold").await == 1 }).await;
        let said = run(&database, &["purge", "--older-than", "90d"]).await.done();
        assert!(said.contains(&format!("customer {customer}: ")), "{said}");
        batch.commit().await.unwrap();
    };
    tokio::join!(placing, ending);

    assert_eq!((rows(&database.pool, "contact").await, rows(&database.pool, "legal_hold").await), (1, 1));
}

#[tokio::test]
async fn a_hold_stays_and_names_the_session_that_does_not_end() {
    let database = TestDatabase::migrated().await;
    let (customer, contacts) = expired_contacts(&database, 2).await;
    let mut open = database.pool.begin().await.unwrap();
    sqlx::query("delete from contact where id = $1").bind(contacts[0]).execute(&mut *open).await.unwrap();
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *open).await.unwrap();

    let arguments = ["hold", "--customer", &customer.to_string(), "--reason", "case 12/34"];
    let said = run(&database, &arguments).await.refused(&["may still erase rows", &format!("session {pid} (")]);

    assert!(said.out.starts_with(&format!("customer {customer} is under legal hold ")), "{said:?}");
    open.rollback().await.unwrap();
    run(&database, &["purge", "--older-than", "90d"]).await.done();
    assert_eq!((rows(&database.pool, "contact").await, rows(&database.pool, "legal_hold").await), (2, 1));
}

#[tokio::test]
async fn a_hold_on_a_customer_that_is_being_erased_says_so() {
    let database = TestDatabase::migrated().await;
    let customer = World::new(database.pool.clone()).customer(None).await;
    let mut batch = database.pool.begin().await.unwrap();
    sqlx::query("delete from customer where id = $1").bind(customer).execute(&mut *batch).await.unwrap();

    let id = customer.to_string();
    let arguments = ["hold", "--customer", &id, "--reason", "case 12/34"];
    let placing = run(&database, &arguments);
    let ending = async {
        until(|| async { rows(&database.pool, "legal_hold").await == 1 }).await;
        batch.commit().await.unwrap();
    };
    let (said, ()) = tokio::join!(placing, ending);

    said.refused(&[&format!("customer {customer} was erased while the hold was placed")]);
}
