//! A customer under legal hold: `hold`, `release`, `holds`, and every way to erase rows.

mod races;
mod writers;

use customer_deletion::resource::Resource;
use rstest::rstest;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Row};
use uuid::Uuid;

use crate::dba::maintenance::{age_deletions, age_operation, age_rows, change_restorations, present, rows, run, told};
use crate::support::database::MAINTENANCE;
use crate::support::resources::{every_reference, every_resource, table, word};
use crate::support::{TestDatabase, TestPool, TestService, World};

/// Places a hold as a DBA does, and returns its id.
async fn hold(database: &TestDatabase, customer: Uuid, reason: &str) -> String {
    let said = run(database, &["hold", "--customer", &customer.to_string(), "--reason", reason]).await.done();
    let id = said.trim().rsplit_once(' ').unwrap().1.to_owned();
    assert_eq!(said, format!("customer {customer} is under legal hold {id}\n"));
    id
}

/// A customer under legal hold, with two deleted rows of a resource, and the operation that deleted the first.
struct Held {
    resource: Resource,
    customer: Uuid,
    rows: Vec<Uuid>,
    operation: Uuid,
    /// A deleted row of another customer, which is not under legal hold.
    other: Uuid,
}

impl Held {
    async fn new(service: &TestService, resource: Resource) -> Held {
        let (database, family) = (&service.database, service.world.family().await);
        let customer = family.in_scope(resource);
        let rows = service.world.rows(resource, customer, 2).await;
        let operation = service.delete_one(family.requester, customer, resource, rows[0]).await.assert_deleted();
        service.delete_one(family.requester, customer, resource, rows[1]).await.assert_deleted();
        let other = service.world.row(resource, family.sibling).await;
        age_deletions(&database.pool, resource, &[rows[0], rows[1], other], 91).await;
        hold(database, customer, "case 12/34").await;
        Held { resource, customer, rows, operation, other }
    }
}

#[tokio::test]
async fn every_purge_leaves_the_rows_of_a_customer_under_hold_and_names_it() {
    let service = TestService::start().await;
    let database = &service.database;
    let mut all = Vec::new();
    for resource in every_resource() {
        all.push(Held::new(&service, resource).await);
    }

    // Rows of other customers are erased.
    let purge = ["purge", "--older-than", "90d", "--operations-older-than", "120d"];
    let dry = run(database, &[&purge[..], &["--dry-run"]].concat()).await.done();
    let said = run(database, &purge).await.done();
    for said in [dry, said] {
        assert!(said.contains(&format!("\nleft, because of legal holds: {}\n", 2 * all.len())), "{said}");
        for held in &all {
            assert_eq!(told(&said, word(held.resource)), 1, "{said}");
            assert!(said.contains(&format!("\n  customer {}: 2\n", held.customer)), "{said}");
        }
    }
    for Held { resource, customer, rows, operation, other } in &all {
        let (id, line) = (customer.to_string(), format!("customer {customer}: "));
        let reason = format!("nothing is erased: customer {customer} has been under legal hold");
        run(database, &["purge", "--customer", &id]).await.refused(&[&reason, "case 12/34"]);
        let one = ["purge", &format!("--{}", word(*resource)), &rows[1].to_string()];
        let said = run(database, &one).await.refused(&["left, because of legal holds: 1", &format!("{line}1")]);
        assert_eq!(told(&said.out, word(*resource)), 0);
        let of_operation = ["purge", "--operation", &operation.to_string()];
        run(database, &of_operation).await.refused(&["left, because of legal holds: 1", &format!("{line}1")]);
        assert_eq!(&present(&database.pool, *resource, &[&rows[..], &[*other]].concat()).await, rows, "{resource:?}");
    }
    run(database, &["verify"]).await.done();

    for Held { resource, customer, rows, .. } in &all {
        let id = customer.to_string();
        run(database, &["release", "--customer", &id]).await.done();
        run(database, &["purge", "--customer", &id]).await.done();
        assert_eq!(present(&database.pool, *resource, rows).await, Vec::<Uuid>::new(), "{resource:?}");
    }
}

#[tokio::test]
async fn a_hold_keeps_the_rows_of_its_customer_and_of_no_other() {
    let service = TestService::start().await;
    let (database, world, family) = (&service.database, &service.world, service.world.family().await);
    let own = world.contact(family.requester).await;
    let of_sub_customer = world.contact(family.sub_customer).await;
    let set_on_it = world.external_params(family.parent, "sub_customer_id", family.requester).await;
    age_rows(&database.pool, Resource::Contact, &[own, of_sub_customer], 91).await;
    age_rows(&database.pool, Resource::ExternalParams, &[set_on_it], 91).await;
    hold(database, family.requester, "case 12/34").await;

    let said = run(database, &["purge", "--older-than", "90d"]).await.done();

    assert_eq!((told(&said, "contact"), told(&said, "external-params")), (1, 1), "{said}");
    assert_eq!(present(&database.pool, Resource::Contact, &[own, of_sub_customer]).await, [own]);
}

#[tokio::test]
async fn a_product_that_was_allocated_to_a_customer_under_hold_stays_with_the_allocation() {
    let service = TestService::start().await;
    let (database, world, family) = (&service.database, &service.world, service.world.family().await);
    let products = world.rows(Resource::Product, family.requester, 2).await;
    for (product, customer) in products.iter().zip([family.sub_customer, family.second_sub_customer]) {
        let allocation = world.allocation(*product, customer).await;
        world.execute("update product_allocation set detached_at = now() where id = $1", allocation).await;
    }
    age_rows(&database.pool, Resource::Product, &products, 91).await;
    hold(database, family.sub_customer, "case 12/34").await;

    let said = run(database, &["purge", "--older-than", "90d"]).await.done();

    assert_eq!((told(&said, "product"), told(&said, "allocation")), (1, 1), "{said}");
    assert!(said.contains(&format!("customer {}: 1\n", family.sub_customer)), "{said}");
    assert_eq!(present(&database.pool, Resource::Product, &products).await, products[..1]);
}

#[tokio::test]
async fn the_calls_and_restores_of_a_customer_under_hold_stay_on_record() {
    let service = TestService::start().await;
    let (database, family) = (&service.database, service.world.family().await);
    let zone = service.world.zone(family.requester).await;
    let (requester, resource) = (family.requester, Resource::Zone);
    let restored = service.delete_one(requester, requester, resource, zone).await.assert_deleted();
    run(database, &["restore", "--operation", &restored.to_string()]).await.done();
    let unknown = Uuid::now_v7();
    let refused = service.delete_one(requester, requester, resource, unknown).await.request_id();
    let by_other = service.delete_one(family.parent, family.parent, resource, unknown).await.request_id();
    for operation in [restored, refused, by_other] {
        age_operation(&database.pool, operation, 91).await;
    }
    change_restorations(&database.pool, "restored_at = restored_at - interval '91 days'").await;
    let id = hold(database, requester, "case 12/34").await;
    let arguments = ["purge", "--older-than", "90d"];

    let dry = run(database, &[&arguments[..], &["--dry-run"]].concat()).await.done();
    let said = run(database, &arguments).await.done();
    for said in [dry, said] {
        assert_eq!((told(&said, "operation"), told(&said, "restoration")), (1, 0), "{said}");
        assert!(said.contains(&format!("left, because of legal holds: 3\n  customer {requester}: 3\n")), "{said}");
    }
    run(database, &["release", "--customer", &requester.to_string(), "--hold", &id]).await.done();
    let said = run(database, &arguments).await.done();
    assert_eq!((told(&said, "operation"), told(&said, "restoration")), (2, 1), "{said}");
}

/// One row in each table of a customer.
async fn furnish(world: &World, customer: Uuid, other: Uuid) -> Vec<(&'static str, Uuid)> {
    let mut rows = vec![("customer", customer)];
    for (resource, reference) in every_reference() {
        let row = world.row(resource, other).await;
        rows.push((reference.table, world.reference(resource, row, customer).await));
    }
    rows.push(("subscriber", world.subscriber(customer).await));
    rows.push(("sell_plan", world.sell_plan(customer).await));
    for resource in every_resource() {
        rows.push((table(resource), world.row(resource, customer).await));
    }
    rows
}

#[tokio::test]
async fn a_hold_survives_the_deletion_of_its_customer() {
    let service = TestService::start().await;
    let (database, world, family) = (&service.database, &service.world, service.world.family().await);
    let customer = world.customer(Some(family.requester)).await;
    let rows = furnish(world, customer, family.requester).await;
    hold(database, customer, "case 12/34").await;
    world.kill_customer(customer).await;
    let before = world.fingerprint().await;

    run(database, &["purge", "--customer", &customer.to_string()]).await.refused(&["has been under legal hold"]);
    assert_eq!(world.fingerprint().await, before);

    run(database, &["release", "--customer", &customer.to_string()]).await.done();
    run(database, &["purge", "--customer", &customer.to_string()]).await.done();
    let ids: Vec<Uuid> = rows.iter().map(|(_, id)| *id).collect();
    for resource in every_resource() {
        assert_eq!(present(&database.pool, resource, &ids).await, Vec::<Uuid>::new());
    }
}

#[tokio::test]
async fn a_customer_can_have_several_holds_and_each_is_released_by_itself() {
    let service = TestService::start().await;
    let (database, family) = (&service.database, service.world.family().await);
    let customer = family.sub_customer.to_string();
    assert_eq!(run(database, &["holds"]).await.done(), "no legal hold\n");
    let first = hold(database, family.sub_customer, "case 12/34").await;
    let second = hold(database, family.sub_customer, "an audit").await;

    run(database, &["release", "--customer", &customer]).await.refused(&[&first, &second, "name one with --hold"]);
    let unknown = Uuid::now_v7().to_string();
    run(database, &["release", "--customer", &customer, "--hold", &unknown]).await.refused(&["is not under the hold"]);
    assert_eq!(released(&database.pool).await, 0);
    let said = run(database, &["release", "--customer", &customer, "--hold", &first]).await.done();
    assert!(said.contains(&format!("customer {customer} has been under legal hold {second} since ")), "{said}");

    let listed = run(database, &["holds", "--json"]).await.done();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["id"], second.as_str());
    assert_eq!((&listed[0]["reason"], &listed[0]["placedBy"]), (&"an audit".into(), &MAINTENANCE.into()));
    assert_eq!(listed[0]["releasedAt"], Value::Null);
    let all = run(database, &["holds", "--all", "--customer", &customer]).await.done();
    let lines: Vec<&str> = all.lines().collect();
    assert_eq!(lines.len(), 2, "{all}");
    assert!(lines[0].starts_with(&format!("customer {customer} was under legal hold {first} from ")), "{all}");
    assert!(lines[0].ends_with(&format!(" by {MAINTENANCE}: case 12/34")), "{all}");
    assert!(lines[1].ends_with(": an audit"), "{all}");
    let of_other = family.requester.to_string();
    assert_eq!(run(database, &["holds", "--customer", &of_other]).await.done(), "no legal hold\n");
}

async fn released(pool: &TestPool) -> i64 {
    let sql = "select count(*) from legal_hold where released_at is not null";
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn an_unknown_customer_is_refused() {
    let database = TestDatabase::migrated().await;
    let unknown = Uuid::now_v7().to_string();
    let reason = format!("no hold is placed: no customer has the id {unknown}");
    run(&database, &["hold", "--customer", &unknown, "--reason", "case 12/34"]).await.refused(&[&reason]);
    let reason = format!("nothing is released: customer {unknown} is under no legal hold");
    run(&database, &["release", "--customer", &unknown]).await.refused(&[&reason]);
    assert_eq!(rows(&database.pool, "legal_hold").await, 0);
}

#[rstest]
#[case::without_a_reason(&["hold", "--customer", "3c8e71f5-90a2-4b6d-8e34-7f15d2a6c098"])]
#[case::with_an_empty_reason(&["hold", "--customer", "3c8e71f5-90a2-4b6d-8e34-7f15d2a6c098", "--reason", " "])]
#[case::without_a_customer(&["release"])]
#[tokio::test]
async fn a_mistyped_hold_is_status_2(#[case] arguments: &[&str]) {
    assert_eq!(run(&TestDatabase::migrated().await, arguments).await.status, Some(2));
}

/// The database sets who placed and released it, and when.
#[tokio::test]
async fn a_hold_is_released_once_and_not_changed_otherwise() {
    let service = TestService::start().await;
    let (database, family) = (&service.database, service.world.family().await);
    hold(database, family.requester, "case 12/34").await;
    let refused = async |sql: &'static str| {
        let error = sqlx::raw_sql(sql).execute(&database.pool).await.unwrap_err();
        error.as_database_error().unwrap().code().unwrap().into_owned()
    };

    for column in ["id", "customer_id"] {
        let sql = format!("update legal_hold set {column} = gen_random_uuid()");
        let error = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&database.pool).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("23001"), "{column}");
    }
    assert_eq!(refused("update legal_hold set reason = 'none'").await, "23001");
    assert_eq!(refused("update legal_hold set placed_at = now()").await, "23001");
    assert_eq!(
        refused("insert into legal_hold (id, customer_id, reason) values (gen_random_uuid(), gen_random_uuid(), '')")
            .await,
        "23514"
    );
    let release = "update legal_hold set released_at = '2001-01-01', released_by = 'nobody'";
    sqlx::raw_sql(release).execute(&database.pool).await.unwrap();
    let row = sqlx::query("select released_by <> 'nobody', released_at > now() - interval '1 hour' from legal_hold");
    let row = row.fetch_one(&database.pool).await.unwrap();
    assert!(row.get::<bool, _>(0) && row.get::<bool, _>(1));
    assert_eq!(refused("update legal_hold set released_at = null").await, "23001");
}

#[tokio::test]
async fn the_migration_is_not_reverted_while_a_hold_is_in_force() {
    let service = TestService::start().await;
    let (database, family) = (&service.database, service.world.family().await);
    hold(database, family.requester, "case 12/34").await;
    let down = include_str!("../../../../migrations/0014_legal_hold.down.sql");

    let error = sqlx::raw_sql(down).execute(&database.pool).await.unwrap_err().to_string();

    assert!(error.contains("customers are under legal hold"), "{error}");
    assert_eq!(rows(&database.pool, "legal_hold").await, 1);
}
