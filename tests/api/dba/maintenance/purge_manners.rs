//! `purge` beside other transactions: it runs alone, skips locked rows, can be stopped, and can be continued.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use rstest::rstest;
use uuid::Uuid;

use super::{age_rows, maintenance, present, rows, run, told};
use crate::support::plan::generic_plan;
use crate::support::{TestDatabase, TestPool, World, until};

/// Contacts that were deleted long ago.
async fn expired_contacts(database: &TestDatabase, count: usize) -> Vec<Uuid> {
    let world = World::new(database.pool.clone());
    let customer = world.customer(None).await;
    let mut contacts = world.rows(Resource::Contact, customer, count).await;
    contacts.sort();
    age_rows(&database.pool, Resource::Contact, &contacts, 91).await;
    contacts
}

/// Killed when it is dropped, so that a failed test leaves no sleeping process.
struct Resting(Child);

impl Drop for Resting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A purge that has found rows to erase, and sleeps for an hour before it erases them.
async fn resting_purge(database: &TestDatabase) -> Resting {
    let arguments = ["purge", "--older-than", "90d", "--pause", "3600000"];
    let mut command = maintenance(database, &arguments);
    let purge = Resting(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    until(|| async { holds_the_lock(&database.pool).await }).await;
    purge
}

async fn holds_the_lock(pool: &TestPool) -> bool {
    let sql = "select exists (
        select from pg_locks
        where locktype = 'advisory' and granted
          and database = (select oid from pg_database where datname = current_database())
      )";
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

#[tokio::test]
async fn a_second_purge_says_that_another_is_at_work() {
    let database = TestDatabase::migrated().await;
    let contacts = expired_contacts(&database, 3).await;
    let mut first = resting_purge(&database).await;

    let second = run(&database, &["purge", "--older-than", "90d"]).await.refused(&["another purge is running"]);
    assert_eq!(second.out, "");
    run(&database, &["purge", "--older-than", "90d", "--dry-run"]).await.refused(&["another purge is running"]);
    assert_eq!(present(&database.pool, Resource::Contact, &contacts).await, contacts);

    interrupt(&first.0);
    first.0.wait().unwrap();
    run(&database, &["purge", "--older-than", "90d"]).await.done();
    assert_eq!(present(&database.pool, Resource::Contact, &contacts).await, Vec::<Uuid>::new());
}

#[tokio::test]
async fn an_interrupted_purge_ends_between_batches_and_goes_on_when_it_is_run_again() {
    let database = TestDatabase::migrated().await;
    let contacts = expired_contacts(&database, 50).await;
    let arguments = ["purge", "--older-than", "90d", "--batch-size", "1", "--pause", "100"];
    let mut command = maintenance(&database, &arguments);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until(|| async { rows(&database.pool, "contact").await < 50 }).await;

    interrupt(&child);
    let output = child.wait_with_output().unwrap();

    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("stopped; erased rows stay erased"), "{err}");
    let left = present(&database.pool, Resource::Contact, &contacts).await.len();
    assert!(left > 0, "it ends soon");
    assert_eq!(told(&out, "contact"), 50 - left as u64);
    let said = run(&database, &["purge", "--older-than", "90d"]).await.done();
    assert_eq!(told(&said, "contact"), left as u64);
    assert_eq!(rows(&database.pool, "contact").await, 0);
}

#[tokio::test]
async fn rows_that_are_locked_are_left_for_the_next_purge() {
    let database = TestDatabase::migrated().await;
    let contacts = expired_contacts(&database, 3).await;
    let mut holding = database.pool.begin().await.unwrap();
    sqlx::query("select from contact where id = $1 for key share")
        .bind(contacts[1])
        .execute(&mut *holding)
        .await
        .unwrap();

    let said = run(&database, &["purge", "--older-than", "90d"]).await.done();

    assert_eq!(told(&said, "contact"), 2);
    assert!(said.ends_with("left for the next purge, because other sessions lock them: 1\n"), "{said}");
    assert_eq!(present(&database.pool, Resource::Contact, &contacts).await, [contacts[1]]);
    holding.rollback().await.unwrap();
    let said = run(&database, &["purge", "--older-than", "90d"]).await.done();
    assert_eq!(told(&said, "contact"), 1);
    assert!(!said.contains("left for the next purge"), "{said}");
}

#[tokio::test]
async fn a_product_whose_allocation_is_locked_is_left_too() {
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    let family = world.family().await;
    let products = world.rows(Resource::Product, family.requester, 2).await;
    let allocation = world.allocation(products[0], family.sub_customer).await;
    world.execute("update product_allocation set detached_at = now() where id = $1", allocation).await;
    age_rows(&database.pool, Resource::Product, &products, 91).await;
    let mut holding = database.pool.begin().await.unwrap();
    let hold = "select from product_allocation where id = $1 for update";
    sqlx::query(hold).bind(allocation).execute(&mut *holding).await.unwrap();

    let arguments = ["purge", "--older-than", "90d"];
    let said = run(&database, &arguments).await.done();

    assert_eq!((told(&said, "product"), told(&said, "allocation")), (1, 0));
    assert!(said.contains("because other sessions lock them: 1"), "{said}");
    holding.rollback().await.unwrap();
    let said = run(&database, &arguments).await.done();
    assert_eq!((told(&said, "product"), told(&said, "allocation")), (1, 1));
}

/// Halving the batch would take 19 timeouts, each of half a second and followed by a pause of two.
#[tokio::test]
async fn a_lock_that_every_part_of_a_batch_needs_is_waited_for_once() {
    let database = TestDatabase::migrated().await;
    let contacts = expired_contacts(&database, 10).await;
    let mut holding = database.pool.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(7521086349871205)").execute(&mut *holding).await.unwrap();
    let began = Instant::now();

    let said = run(&database, &["purge", "--older-than", "90d"]).await.done();

    assert!(said.ends_with("left for the next purge, because other sessions lock them: 10\n"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    holding.rollback().await.unwrap();
    let said = run(&database, &["purge", "--older-than", "90d"]).await.done();
    assert_eq!(told(&said, "contact"), contacts.len() as u64);
}

#[rstest]
#[case::of_a_purge(&[], "erased", "erased for good:")]
#[case::of_a_dry_run(&["--dry-run"], "to erase", "would be erased for good:")]
#[tokio::test]
async fn away_from_a_terminal_the_progress_is_plain_lines_beside_the_result(
    #[case] option: &[&str],
    #[case] verb: &str,
    #[case] headline: &str,
) {
    let database = TestDatabase::migrated().await;
    expired_contacts(&database, 3).await;

    let said = run(&database, &[&["purge", "--older-than", "90d"], option].concat()).await;

    assert!(said.err.contains(&format!("contact: 100 % done, 3 {verb} in all\n")), "{said:?}");
    assert!(!said.err.contains(['\r', '\x1b']), "{said:?}");
    assert!(said.out.starts_with(&format!("{headline}\n  contact ")), "{said:?}");
    assert!(!said.out.contains('%'), "{said:?}");
}

#[tokio::test]
async fn a_range_of_blocks_is_read_and_not_the_table() {
    let database = TestDatabase::migrated().await;
    let sql = include_str!("../../../../src/maintenance/sql/expired_rows.sql");
    let mut session = database.pool.acquire().await.unwrap();
    let plan = generic_plan(&mut session, sql, "text, bigint, bigint, timestamptz").await.join("\n");
    // Each branch runs for its resource only.
    for node in ["Tid Range Scan", "One-Time Filter"] {
        assert_eq!(plan.matches(node).count(), Resource::ALL.len(), "{plan}");
    }
    assert!(!plan.contains("Seq Scan"), "{plan}");
}

#[tokio::test]
async fn the_rows_of_a_customer_are_looked_for_in_the_table_of_their_kind_only() {
    let database = TestDatabase::migrated().await;
    let sql = include_str!("../../../../src/maintenance/sql/rows_of_customer.sql");
    let mut session = database.pool.acquire().await.unwrap();
    let plan = generic_plan(&mut session, sql, "text, uuid, boolean").await.join("\n");
    assert_eq!(plan.matches("One-Time Filter").count(), sql.matches("where $1 = '").count(), "{plan}");
}

#[tokio::test]
async fn operations_and_rows_are_found_through_indexes() {
    let database = TestDatabase::migrated().await;
    let mut session = database.pool.acquire().await.unwrap();
    let erase = "uuid[], timestamptz, uuid, boolean, uuid, boolean";
    for (sql, types) in [
        (
            include_str!("../../../../src/maintenance/sql/page_of_operations.sql"),
            "uuid, uuid, bigint, timestamptz, bigint",
        ),
        (include_str!("../../../../src/maintenance/sql/erasable_operations.sql"), "uuid[], timestamptz, timestamptz"),
        (include_str!("../../../../src/maintenance/sql/erase_operations.sql"), "uuid[], timestamptz"),
        (include_str!("../../../../src/maintenance/sql/taken_zone_names.sql"), "uuid[]"),
        (include_str!("../../../../src/maintenance/sql/rows_of_customer.sql"), "text, uuid, boolean"),
        (include_str!("../../../../src/maintenance/sql/erase_contacts.sql"), erase),
        (include_str!("../../../../src/maintenance/sql/erase_addresses.sql"), erase),
        (include_str!("../../../../src/maintenance/sql/erase_external_params.sql"), erase),
        (include_str!("../../../../src/maintenance/sql/erase_zones.sql"), erase),
        (include_str!("../../../../src/maintenance/sql/erase_products.sql"), erase),
    ] {
        let plan = generic_plan(&mut session, sql, types).await.join("\n");
        let scanned = plan.lines().filter_map(|line| line.split_once("Seq Scan on ")).map(|(_, table)| table);
        // Only this statement finds deleted zones and products by their customer, so no index has them.
        let may_be_scanned: &[&str] = if sql.starts_with("-- rows_of_customer:") { &["zone", "product"] } else { &[] };
        assert!(scanned.into_iter().all(|table| may_be_scanned.contains(&table)), "{plan}");
    }
}
