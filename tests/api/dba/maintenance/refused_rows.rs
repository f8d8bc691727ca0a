//! Rows that another service keeps, by its own foreign key or trigger, are named. Their neighbours are erased.

use customer_deletion::resource::Resource;
use rstest::rstest;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{age_deletions, age_rows, present, run, told};
use crate::support::{TestDatabase, TestPool, TestService, World};

/// Objects that another service adds to the schema: a foreign key, and a trigger that raises an error for one row.
async fn keep(pool: &TestPool, table: &str, referred: Uuid, guarded: Uuid, state: &str) {
    let sql = format!(
        "create table audit (id uuid constraint audit_{table}_fkey references {table} (id));
         insert into audit values ('{referred}');
         create function keep() returns trigger language plpgsql as $$
         begin
           raise exception 'under investigation' using errcode = '{state}';
         end
         $$;
         create trigger keep before delete on {table} for each row when (old.id = '{guarded}') execute function keep();"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await.unwrap();
}

fn reasons(word: &str, table: &str, referred: Uuid, guarded: Uuid, state: &str) -> [String; 3] {
    [
        "2 rows stay, because foreign keys or triggers of other services refuse:".to_owned(),
        format!("{word} {referred}: public.audit refers to it (constraint audit_{table}_fkey)"),
        format!("{word} {guarded}: under investigation (SQLSTATE {state})"),
    ]
}

#[rstest]
#[case::raised("P0001")]
#[case::for_want_of_a_privilege("42501")]
#[case::for_its_state("55000")]
#[case::by_a_defect("XX000")]
#[case::with_a_code_of_its_own("ZZ001")]
#[tokio::test]
async fn a_purge_by_age_erases_the_neighbours_of_a_row_that_another_service_keeps(#[case] state: &str) {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let mut contacts = service.world.rows(Resource::Contact, family.sub_customer, 50).await;
    contacts.sort_unstable();
    let kept = [contacts[3], contacts[40]];
    // One of them has an operation. It is found through the operation and in its table.
    service.delete_one(family.requester, family.sub_customer, Resource::Contact, kept[1]).await.assert_deleted();
    age_deletions(&service.database.pool, Resource::Contact, &contacts, 100).await;
    keep(&service.database.pool, "contact", kept[0], kept[1], state).await;
    let arguments = ["purge", "--older-than", "90d"];
    let reasons = reasons("contact", "contact", kept[0], kept[1], state);

    let dry = run(&service.database, &[&arguments[..], &["--dry-run"]].concat()).await.done();
    assert!(dry.contains("not known in a dry run: "), "{dry}");
    for erased in [48, 0] {
        let said = run(&service.database, &arguments).await.refused(&reasons.each_ref().map(String::as_str));
        assert_eq!(told(&said.out, "contact"), erased, "{said:?}");
        assert_eq!(present(&service.database.pool, Resource::Contact, &contacts).await, kept);
    }
}

#[tokio::test]
async fn a_purge_of_a_customer_says_who_keeps_its_rows_and_leaves_the_customer() {
    let service = TestService::start().await;
    let (pool, world) = (&service.database.pool, &service.world);
    let customer = world.customer(None).await;
    let mut subscribers = Vec::new();
    for _ in 0..10 {
        subscribers.push(world.subscriber(customer).await);
    }
    world.kill_customer(customer).await;
    keep(pool, "subscriber", subscribers[0], subscribers[9], "P0001").await;
    let id = customer.to_string();
    let reasons = reasons("subscriber", "subscriber", subscribers[0], subscribers[9], "P0001");

    let said = run(&service.database, &["purge", "--customer", &id]).await;
    let said = said.refused(&reasons.each_ref().map(String::as_str));

    assert_eq!((told(&said.out, "subscriber"), told(&said.out, "customer")), (8, 0), "{said:?}");
    sqlx::raw_sql("drop table audit; drop trigger keep on subscriber").execute(pool).await.unwrap();
    let said = run(&service.database, &["purge", "--customer", &id]).await.done();
    assert_eq!((told(&said, "subscriber"), told(&said, "customer")), (2, 1), "{said}");
}

#[tokio::test]
async fn a_reference_to_the_customer_itself_is_named() {
    let service = TestService::start().await;
    let customer = service.world.customer(None).await;
    service.world.kill_customer(customer).await;
    let refer = format!(
        "create table audit (id uuid constraint audit_customer_fkey references customer (id));
         insert into audit values ('{customer}')"
    );
    sqlx::raw_sql(AssertSqlSafe(refer)).execute(&service.database.pool).await.unwrap();

    let said = run(&service.database, &["purge", "--customer", &customer.to_string()]).await;

    said.refused(&[&format!("customer {customer}: public.audit refers to it (constraint audit_customer_fkey)")]);
}

#[tokio::test]
async fn a_statement_that_fails_without_a_row_ends_the_purge() {
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    let contacts = world.rows(Resource::Contact, world.customer(None).await, 3).await;
    age_rows(&database.pool, Resource::Contact, &contacts, 100).await;
    let revoke = "revoke delete on contact from customer_deletion_maintenance";
    sqlx::raw_sql(revoke).execute(&database.pool).await.unwrap();

    let said = run(&database, &["purge", "--older-than", "90d"]).await;

    let said = said.refused(&["cannot work with the database: ", "permission denied for table contact"]);
    assert!(!said.err.contains("stay"), "{said:?}");
}
