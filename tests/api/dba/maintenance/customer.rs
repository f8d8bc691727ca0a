//! `purge --customer` erases the data of one customer, for data protection.

use customer_deletion::resource::Resource;
use sqlx::{AssertSqlSafe, Row};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{figures, maintenance_sql, present, rows, run, told};
use crate::support::resources::{every_reference, every_resource, statement, table};
use crate::support::world::Family;
use crate::support::{TestDatabase, TestPool, TestService, World};

/// The tables of the resources, and then the others.
fn tables() -> Vec<&'static str> {
    let references = every_reference().map(|(_, reference)| reference.table);
    every_resource().map(table).chain(references).chain(["subscriber", "sell_plan", "customer"]).collect()
}

async fn counts(pool: &TestPool) -> Vec<(&'static str, i64)> {
    let mut counts = Vec::new();
    for table in tables() {
        counts.push((table, rows(pool, table).await));
    }
    counts
}

/// Asserts that each table has lost one row, except for the `others`.
async fn assert_gone(pool: &TestPool, before: &[(&str, i64)], others: &[(&str, i64)]) {
    for ((table, before), (_, after)) in before.iter().zip(counts(pool).await) {
        let expected = others.iter().find(|(name, _)| name == table).map_or(1, |(_, count)| *count);
        assert_eq!(before - after, expected, "{table}");
    }
}

/// A row of each resource of a customer.
async fn one_of_each(world: &World, customer: Uuid) -> [Uuid; Resource::ALL.len()] {
    let mut ids = [Uuid::nil(); Resource::ALL.len()];
    for (id, resource) in ids.iter_mut().zip(Resource::ALL) {
        *id = world.row(resource, customer).await;
    }
    ids
}

async fn delete_directly(pool: &TestPool, resource: Resource, id: Uuid) {
    let sql = format!("update {} set deleted_at = now() where id = '{id}'", table(resource));
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await.unwrap();
}

#[tokio::test]
async fn of_a_live_customer_the_deleted_rows_go_whatever_their_age() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let id = family.requester.to_string();
    let deleted = one_of_each(&service.world, family.requester).await;
    let live = one_of_each(&service.world, family.requester).await;
    let others = one_of_each(&service.world, family.sub_customer).await;
    for index in 0..Resource::ALL.len() {
        delete_directly(pool, Resource::ALL[index], deleted[index]).await;
        delete_directly(pool, Resource::ALL[index], others[index]).await;
    }
    let before = counts(pool).await;

    let dry = run(&service.database, &["purge", "--customer", &id, "--dry-run"]).await.done();
    assert_eq!(counts(pool).await, before);
    let said = run(&service.database, &["purge", "--customer", &id]).await.done();

    assert_eq!(figures(&dry), figures(&said));
    for (index, resource) in Resource::ALL.into_iter().enumerate() {
        assert_eq!(told(&said, resource.word()), 1, "{said}");
        let all = [deleted[index], live[index], others[index]];
        let mut kept = vec![live[index], others[index]];
        kept.sort();
        assert_eq!(present(pool, resource, &all).await, kept, "{resource:?}");
    }
    assert_eq!(counts(pool).await[6..], before[6..]);
}

/// External params that a customer set on another belong to the first, which may still need them.
#[tokio::test]
async fn of_a_live_customer_the_external_params_that_others_keep_on_it_stay() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let (keeper, customer, params) = (family.requester, family.sub_customer, Resource::ExternalParams);
    let subscriber = service.world.subscriber(customer).await;
    let plan = service.world.sell_plan(customer).await;
    let own = service.world.external_params(customer, "subscriber_id", subscriber).await;
    delete_directly(&service.database.pool, params, own).await;
    let mut others = vec![service.world.external_params(keeper, "sub_customer_id", customer).await];
    let operation = service.delete_one(keeper, keeper, params, others[0]).await.assert_deleted();
    for (column, entity) in [("subscriber_id", subscriber), ("sell_plan_id", plan)] {
        let id = service.world.external_params(keeper, column, entity).await;
        delete_directly(&service.database.pool, params, id).await;
        others.push(id);
    }

    let arguments = ["purge", "--customer", &customer.to_string()];
    let dry = run(&service.database, &[&arguments[..], &["--dry-run"]].concat()).await.done();
    let said = run(&service.database, &arguments).await.done();

    assert_eq!(figures(&dry), figures(&said));
    assert_eq!(told(&said, "external-params"), 1, "{said}");
    assert_eq!(present(&service.database.pool, params, &[&others[..], &[own]].concat()).await, others);
    run(&service.database, &["restore", "--operation", &operation.to_string()]).await.done();
}

#[tokio::test]
async fn a_row_that_the_customer_above_deleted_goes_with_the_customer_whose_row_it_is() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let contact = [service.world.contact(family.sub_customer).await];
    service.delete_one(family.requester, family.sub_customer, Resource::Contact, contact[0]).await.assert_deleted();

    run(&service.database, &["purge", "--customer", &family.requester.to_string()]).await.done();
    assert_eq!(present(pool, Resource::Contact, &contact).await, contact);
    run(&service.database, &["purge", "--customer", &family.sub_customer.to_string()]).await.done();
    assert_eq!(present(pool, Resource::Contact, &contact).await, Vec::<Uuid>::new());
}

/// A customer with a row in every table, and a neighbour with the same.
async fn furnish(world: &World, family: Family) -> Uuid {
    let customer = world.customer(Some(family.requester)).await;
    for owner in [customer, family.sibling] {
        one_of_each(world, owner).await;
        let plan = world.sell_plan(owner).await;
        world.external_params(owner, "sell_plan_id", plan).await;
    }
    world.external_params(family.requester, "sub_customer_id", customer).await;
    for (resource, _) in every_reference() {
        let row = world.row(resource, family.requester).await;
        world.reference(resource, row, customer).await;
        world.reference(resource, row, family.sub_customer).await;
    }
    customer
}

#[tokio::test]
async fn of_a_deleted_customer_everything_goes_and_nothing_of_others() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let customer = furnish(&service.world, family).await;
    let id = customer.to_string();
    let contact = service.world.contact(customer).await;
    service.delete_one(family.requester, customer, Resource::Contact, contact).await.assert_deleted();
    service.world.kill_customer(customer).await;
    let before = counts(pool).await;

    let dry = run(&service.database, &["purge", "--customer", &id, "--dry-run"]).await.done();
    assert_eq!(counts(pool).await, before);
    let said = run(&service.database, &["purge", "--customer", &id]).await.done();

    // Two contacts, one of them deleted; three external params, one of them kept by the customer above; one row of each other
    // table.
    assert_gone(pool, &before, &[("contact", 2), ("external_params", 3)]).await;
    assert_eq!((told(&said, "contact"), told(&said, "external-params")), (2, 3), "{said}");
    assert_eq!((told(&said, "allocation"), told(&said, "customer")), (1, 1), "{said}");
    assert_eq!(figures(&dry), figures(&said));
    // Operations are erased at their own age.
    assert_eq!(service.world.operations().await, 1);
    let again = run(&service.database, &["purge", "--customer", &id]).await;
    again.refused(&[&format!("no customer has the id {id}")]);
}

async fn ids_of(pool: &TestPool, table: &str, customer: Uuid) -> Vec<Uuid> {
    let sql = format!("select id from {table} where customer_id = '{customer}'");
    let ids: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(pool).await.unwrap();
    assert!(!ids.is_empty());
    ids
}

/// The statements themselves check this, independently of the command.
#[tokio::test]
async fn no_statement_erases_anything_of_a_live_customer() {
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    let family = world.family().await;
    let customer = furnish(&world, family).await;
    let mut erased: Vec<(&str, i64)> = Vec::new();

    for resource in every_resource() {
        let (table, sql) = (table(resource), maintenance_sql(&statement("erase", resource)));
        let ids = ids_of(&database.pool, table, customer).await;
        let erase =
            sqlx::query(AssertSqlSafe(sql)).bind(ids).bind(OffsetDateTime::UNIX_EPOCH).bind(customer).bind(false);
        let erase = erase.bind(None::<Uuid>).bind(false);
        let due: i64 = erase.fetch_one(&database.pool).await.unwrap().get("due!");
        erased.push((table, due));
    }
    for (table, sql) in [
        ("product_allocation", include_str!("../../../../src/maintenance/sql/erase_allocations_of_customer.sql")),
        ("subscriber", include_str!("../../../../src/maintenance/sql/erase_subscribers_of_customer.sql")),
        ("sell_plan", include_str!("../../../../src/maintenance/sql/erase_sell_plans_of_customer.sql")),
    ] {
        // Otherwise references to a subscriber or a sell plan would prevent this anyway.
        world.execute("delete from external_params where customer_id = $1", customer).await;
        let ids = ids_of(&database.pool, table, customer).await;
        let erase = sqlx::query(sql).bind(customer).bind(ids).bind(false).execute(&database.pool).await.unwrap();
        erased.push((table, erase.rows_affected() as i64));
    }
    let without_anything = world.customer(Some(family.requester)).await;
    let erase = include_str!("../../../../src/maintenance/sql/erase_customers.sql");
    let erase = sqlx::query(erase).bind([without_anything]).bind(false).execute(&database.pool).await.unwrap();
    erased.push(("customer", erase.rows_affected() as i64));

    assert!(erased.iter().all(|(_, count)| *count == 0), "{erased:?}");
}

#[tokio::test]
async fn a_deleted_customer_with_customers_below_it_stays_without_its_data() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    one_of_each(&service.world, family.sub_customer).await;
    service.world.kill_customer(family.sub_customer).await;
    let id = family.sub_customer.to_string();

    let reason = ["the customer's own row stays, because 1 customer is below it"];
    let dry = run(&service.database, &["purge", "--customer", &id, "--dry-run"]).await.refused(&reason);
    let said = run(&service.database, &["purge", "--customer", &id]).await.refused(&reason);

    assert_eq!(figures(&dry.out), figures(&said.out));
    assert_eq!(told(&said.out, "contact"), 1);
    let left: Vec<(&str, i64)> = counts(pool).await.into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(left, [("customer", 6)]);
    service.world.kill_customer(family.grandchild).await;
    run(&service.database, &["purge", "--customer", &family.grandchild.to_string()]).await.done();
    run(&service.database, &["purge", "--customer", &id]).await.done();
    assert_eq!(rows(pool, "customer").await, 4);
}

#[tokio::test]
async fn a_product_that_a_live_customer_has_stays_and_is_named() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let owner = service.world.customer(Some(family.parent)).await;
    let product = service.world.product(owner).await;
    let allocation = service.world.allocation(product, family.sub_customer).await;
    service.world.kill_customer(owner).await;
    let id = owner.to_string();

    let reason = ["products left, because a live customer still has them: 1 (detach them first)"];
    let said = run(&service.database, &["purge", "--customer", &id]).await.refused(&reason);

    assert!(said.out.ends_with("products left, because a live customer still has them: 1\n"), "{said:?}");
    assert!(!said.out.contains("other sessions lock") && !said.err.contains("in use"), "{said:?}");
    assert_eq!((rows(pool, "product").await, rows(pool, "product_allocation").await), (1, 1));
    service.world.execute("update product_allocation set detached_at = now() where id = $1", allocation).await;
    run(&service.database, &["purge", "--customer", &id]).await.done();
    assert_eq!((rows(pool, "product").await, rows(pool, "product_allocation").await), (0, 0));
}

#[tokio::test]
async fn a_dry_run_shows_what_the_run_erases_and_why_not_all() {
    let service = TestService::start().await;
    let (pool, world) = (&service.database.pool, &service.world);
    let family = world.family().await;
    let owner = world.customer(Some(family.parent)).await;
    for _ in 0..2 {
        world.customer(Some(owner)).await;
    }
    one_of_each(world, owner).await;
    let attached = world.rows(Resource::Product, owner, 2).await;
    let loose = world.product(owner).await;
    let foreign = world.product(family.parent).await;
    for (product, customer) in [
        (attached[0], family.sub_customer),
        (attached[1], family.sibling),
        (attached[1], owner),
        (loose, owner),
        (foreign, owner),
        (foreign, family.sibling),
    ] {
        world.allocation(product, customer).await;
    }
    world.kill_customer(owner).await;
    let id = owner.to_string();
    let before = counts(pool).await;
    let reasons = [
        "products left, because a live customer still has them: 2 (detach them first)",
        "the customer's own row stays, because 2 customers are below it",
    ];

    let dry = run(&service.database, &["purge", "--customer", &id, "--dry-run"]).await.refused(&reasons);
    assert_eq!(counts(pool).await, before);
    let said = run(&service.database, &["purge", "--customer", &id]).await.refused(&reasons);

    // A dry run leaves no record.
    let (record, reasons) = said.err.split_once('\n').unwrap();
    assert!(record.starts_with("recorded as purge "), "{said:?}");
    assert_eq!((figures(&dry.out), dry.err.as_str()), (figures(&said.out), reasons));
    let others = [("product", 2), ("product_allocation", 3), ("sell_plan", 0), ("customer", 0)];
    assert_gone(pool, &before, &others).await;
    assert_eq!((told(&said.out, "product"), told(&said.out, "allocation")), (2, 3), "{said:?}");
}

#[tokio::test]
async fn a_row_that_is_locked_makes_the_purge_incomplete() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let contacts = service.world.rows(Resource::Contact, family.sub_customer, 2).await;
    for contact in &contacts {
        delete_directly(pool, Resource::Contact, *contact).await;
    }
    let mut holding = pool.begin().await.unwrap();
    let hold = "select from contact where id = $1 for update";
    sqlx::query(hold).bind(contacts[0]).execute(&mut *holding).await.unwrap();
    let id = family.sub_customer.to_string();

    let said = run(&service.database, &["purge", "--customer", &id]).await;
    said.refused(&["1 row is in use: purge again later"]);

    assert_eq!(present(pool, Resource::Contact, &contacts).await, [contacts[0]]);
    holding.rollback().await.unwrap();
    run(&service.database, &["purge", "--customer", &id]).await.done();
    assert_eq!(present(pool, Resource::Contact, &contacts).await, Vec::<Uuid>::new());
}
