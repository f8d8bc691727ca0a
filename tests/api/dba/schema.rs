//! The schema keeps its rules against every writer.

use customer_deletion::resource::Resource;
use rstest::rstest;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::support::resources::{contract, every_resource, table};
use crate::support::service::until_somebody_waits;
use crate::support::{TestDatabase, TestService, World};

/// The name of the constraint, or else the SQLSTATE, with which the statement fails.
async fn refusal(database: &TestDatabase, sql: &str, ids: &[Uuid]) -> String {
    let query = ids.iter().fold(sqlx::query(AssertSqlSafe(sql.to_owned())), |query, id| query.bind(*id));
    rule(&query.execute(&database.pool).await.expect_err(sql))
}

fn rule(error: &sqlx::Error) -> String {
    let error = error.as_database_error().unwrap_or_else(|| panic!("{error}"));
    error.constraint().map_or_else(|| error.code().unwrap().into_owned(), str::to_owned)
}

#[tokio::test]
async fn a_customer_is_never_its_own_ancestor() {
    let database = TestDatabase::migrated().await;
    let family = World::new(database.pool.clone()).family().await;
    let move_below = "update customer set parent_id = $2 where id = $1";

    let own = refusal(&database, move_below, &[family.requester, family.requester]).await;
    assert_eq!(own, "customer_is_not_its_own_parent");
    for descendant in [family.sub_customer, family.grandchild] {
        assert_eq!(refusal(&database, move_below, &[family.requester, descendant]).await, "customer_has_no_cycle");
    }
    let twins = "insert into customer (id, parent_id, name) values ($1, $2, 'a'), ($2, $1, 'b')";
    let newborns = [Uuid::now_v7(), Uuid::now_v7()];
    assert_eq!(refusal(&database, twins, &newborns).await, "customer_has_no_cycle");
}

#[tokio::test]
async fn two_re_parentings_at_once_cannot_close_a_cycle() {
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    let family = world.family().await;
    let (one, below_one) = (family.sub_customer, family.grandchild);
    let other = family.second_sub_customer;
    let below_other = world.customer(Some(other)).await;
    let move_below = "update customer set parent_id = $2 where id = $1";

    // They have no row in common, so no row lock separates them.
    let mut first = database.pool.begin().await.unwrap();
    sqlx::query(move_below).bind(one).bind(below_other).execute(&mut *first).await.unwrap();
    let pool = database.pool.clone();
    let second = tokio::spawn(async move { sqlx::query(move_below).bind(other).bind(below_one).execute(&pool).await });
    until_somebody_waits(&database.pool).await;
    first.commit().await.unwrap();

    let error = second.await.unwrap().unwrap_err();
    assert_eq!(error.as_database_error().unwrap().constraint(), Some("customer_has_no_cycle"));
}

#[tokio::test]
async fn a_re_parenting_with_a_snapshot_older_than_another_cannot_close_a_cycle() {
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    let family = world.family().await;
    let below_other = world.customer(Some(family.second_sub_customer)).await;
    let move_below = "update customer set parent_id = $2 where id = $1";

    let mut old = database.pool.begin().await.unwrap();
    sqlx::raw_sql("set transaction isolation level repeatable read").execute(&mut *old).await.unwrap();
    sqlx::raw_sql("select from customer").execute(&mut *old).await.unwrap();
    sqlx::query(move_below).bind(family.sub_customer).bind(below_other).execute(&database.pool).await.unwrap();
    let closing =
        sqlx::query(move_below).bind(family.second_sub_customer).bind(family.grandchild).execute(&mut *old).await;

    assert_eq!(closing.unwrap_err().as_database_error().unwrap().code().as_deref(), Some("40001"));
}

#[tokio::test]
async fn a_writer_may_have_any_search_path() {
    let database = TestDatabase::migrated().await;
    let family = World::new(database.pool.clone()).family().await;
    let mut tx = database.pool.begin().await.unwrap();
    sqlx::raw_sql("set local search_path = ''").execute(&mut *tx).await.unwrap();

    for sql in [
        "insert into public.customer (id, parent_id, name) values (gen_random_uuid(), $1, 'a')",
        "update public.customer set parent_id = null where id = $1",
        "update public.customer set deleted_at = now() where id = $1",
    ] {
        sqlx::query(sql).bind(family.sub_customer).execute(&mut *tx).await.unwrap();
    }
}

#[tokio::test]
async fn a_deletion_is_final_but_for_the_restore_of_its_operation() {
    for resource in every_resource() {
        let service = TestService::shared().await;
        let database = &service.database;
        let family = service.world.family().await;
        let customer = family.in_scope(resource);
        let row = service.world.row(resource, customer).await;
        let operation = service.delete_one(family.requester, customer, resource, row).await.assert_deleted();
        let table = table(resource);

        for change in [
            "deleted_at = null, deleted_by = null",
            "deleted_at = null",
            "deleted_at = deleted_at + interval '1 second'",
            "deleted_by = gen_random_uuid()",
            "deleted_by = null",
            "id = gen_random_uuid()",
        ] {
            let sql = format!("update {table} set {change} where id = $1");
            let refused = refusal(database, &sql, &[row]).await;
            assert!(refused == "23001" || refused == format!("{table}_is_valid"), "{change}: {refused}");
        }

        let live = service.world.row(resource, customer).await;
        for time in ["now() - interval '1 year'", "now() + interval '1 second'"] {
            let sql = format!("update {table} set deleted_at = {time} where id = $1");
            assert_eq!(refusal(database, &sql, &[live]).await, "23001", "{time}");
        }

        let restored = restore(database, table, row, operation).await;
        let restored_by_another = restore(database, table, row, Uuid::now_v7()).await;
        match contract(resource).can_be_restored {
            true => assert!(restored.unwrap()),
            false => assert!(restored.is_err(), "{resource:?} never comes back"),
        }
        assert!(!restored_by_another.unwrap(), "an operation restores what it deleted, and nothing else");
    }
}

/// Whether the row is live after the operation was restored. The transaction is rolled back.
async fn restore(database: &TestDatabase, table: &str, row: Uuid, operation: Uuid) -> Result<bool, sqlx::Error> {
    let mut tx = database.pool.begin().await?;
    let record = "insert into restoration (id, operation_id, requester_id, customer_id, resource, restored_ids)
        select gen_random_uuid(), id, requester_id, customer_id, resource, target_ids from operation where id = $1";
    sqlx::query(record).bind(operation).execute(&mut *tx).await?;
    let sql = format!("select deleted_at is null and deleted_by is null from {table} where id = $1");
    sqlx::query_scalar(AssertSqlSafe(sql)).bind(row).fetch_one(&mut *tx).await
}

#[rstest]
#[case::customer("customer")]
#[case::subscriber("subscriber")]
#[case::sell_plan("sell_plan")]
#[tokio::test]
async fn what_other_services_delete_stays_deleted(#[case] table: &str) {
    let service = TestService::shared().await;
    let world = &service.world;
    let customer = world.customer(None).await;
    let row = match table {
        "subscriber" => world.subscriber(customer).await,
        "sell_plan" => world.sell_plan(customer).await,
        _ => customer,
    };
    let delete = format!("update {table} set deleted_at = now() where id = $1");
    sqlx::query(AssertSqlSafe(delete)).bind(row).execute(&service.database.pool).await.unwrap();

    for change in ["deleted_at = null", "deleted_at = now() + interval '1 day'", "id = gen_random_uuid()"] {
        let sql = format!("update {table} set {change} where id = $1");
        assert_eq!(refusal(&service.database, &sql, &[row]).await, "23001");
    }
}

#[tokio::test]
async fn external_params_are_set_on_exactly_one_entity() {
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    let family = world.family().await;
    let subscriber = world.subscriber(family.requester).await;

    let none = "insert into external_params (id, customer_id, name, value) values ($1, $2, 'a', 'b')";
    let set_on_nothing = refusal(&database, none, &[Uuid::now_v7(), family.requester]).await;
    assert_eq!(set_on_nothing, "external_params_is_valid");
    let two = "insert into external_params (id, customer_id, sub_customer_id, subscriber_id, name, value)
        values ($1, $2, $3, $4, 'a', 'b')";
    let ids = [Uuid::now_v7(), family.requester, family.sub_customer, subscriber];
    assert_eq!(refusal(&database, two, &ids).await, "external_params_is_valid");
}

#[tokio::test]
async fn a_deleted_product_has_no_live_allocation_whoever_writes() {
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    let family = world.family().await;
    let allocated = world.product(family.requester).await;
    let allocation = world.allocation(allocated, family.sub_customer).await;
    let deleted = world.product(family.requester).await;
    world.execute("update product set deleted_at = now() where id = $1", deleted).await;
    let guard = "product_allocation_live_product_fkey";

    let delete = "update product set deleted_at = now() where id = $1";
    assert_eq!(refusal(&database, delete, &[allocated]).await, guard);
    let allocate = "insert into product_allocation (id, product_id, customer_id) values ($1, $2, $3)";
    assert_eq!(refusal(&database, allocate, &[Uuid::now_v7(), deleted, family.sub_customer]).await, guard);
    let move_over = "update product_allocation set product_id = $2 where id = $1";
    assert_eq!(refusal(&database, move_over, &[allocation, deleted]).await, guard);

    // A detached allocation of a deleted product is history, and cannot be attached again.
    world.execute("update product_allocation set detached_at = now() where id = $1", allocation).await;
    world.execute(delete, allocated).await;
    let attach = "update product_allocation set detached_at = null where id = $1";
    assert_eq!(refusal(&database, attach, &[allocation]).await, guard);
}

#[tokio::test]
async fn an_allocation_dies_with_its_customer_and_cannot_pretend_otherwise() {
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    let family = world.family().await;
    let product = world.product(family.requester).await;
    let allocation = world.allocation(product, family.sub_customer).await;
    let guard = "product_allocation_customer_fkey";

    let pretend = "update product_allocation set customer_live = false where id = $1";
    assert_eq!(refusal(&database, pretend, &[allocation]).await, guard);
    world.kill_customer(family.sub_customer).await;
    let live: Option<bool> = sqlx::query_scalar("select live from product_allocation where id = $1")
        .bind(allocation)
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert_eq!(live, None);
    let revive = "update product_allocation set customer_live = true where id = $1";
    assert_eq!(refusal(&database, revive, &[allocation]).await, guard);
    let allocate = "insert into product_allocation (id, product_id, customer_id) values ($1, $2, $3)";
    assert_eq!(refusal(&database, allocate, &[Uuid::now_v7(), product, family.sub_customer]).await, guard);
}

#[rstest]
#[case::unknown_resource("22P02", "resource = 'everything'")]
#[case::unknown_status(OPERATION, "status = 'MAYBE'")]
#[case::unknown_status_of_a_failure(OPERATION, "status = 'MAYBE', error_code = 'AUTH_1010', deleted_rows = 0")]
#[case::no_target(OPERATION, "target_ids = '{}', deleted_rows = 0")]
#[case::a_failure_without_a_target(
    OPERATION,
    "target_ids = '{}', deleted_rows = 0, status = 'FAILURE', error_code = 'AUTH_1010'"
)]
#[case::a_part_of_the_list(OPERATION, "target_ids = target_ids || gen_random_uuid()")]
#[case::more_than_the_list(OPERATION, "deleted_rows = 2")]
#[case::a_success_that_is_open(OPERATION, "completed_at = null")]
#[case::open_but_ended(OPERATION, "status = 'OPEN', deleted_rows = 0")]
#[case::open_with_deleted_rows(OPERATION, "status = 'OPEN', completed_at = null")]
#[case::open_with_a_code(OPERATION, "status = 'OPEN', completed_at = null, deleted_rows = 0, error_code = 'AUTH_1010'")]
#[case::a_failure_without_a_code(OPERATION, "status = 'FAILURE', deleted_rows = 0")]
#[case::a_failure_with_deleted_rows(OPERATION, "status = 'FAILURE', error_code = 'AUTH_1010'")]
#[case::a_failure_that_is_open(
    OPERATION,
    "status = 'FAILURE', error_code = 'AUTH_1010', deleted_rows = 0, completed_at = null"
)]
#[case::a_success_with_a_code(OPERATION, "error_code = 'AUTH_1010'")]
#[case::an_internal_error_with_a_key(
    OPERATION,
    "status = 'INTERNAL_ERROR', error_code = 'GLOBAL_1001', deleted_rows = 0, idempotency_key = 'k'"
)]
#[case::an_internal_error_with_deleted_rows(OPERATION, "status = 'INTERNAL_ERROR', error_code = 'GLOBAL_1001'")]
#[case::a_key_with_a_blank(OPERATION, "idempotency_key = 'two words'")]
#[case::an_empty_key(OPERATION, "idempotency_key = ''")]
#[case::a_key_too_long(OPERATION, "idempotency_key = repeat('k', 256)")]
#[tokio::test]
async fn an_operation_with_a_contradictory_outcome_violates_its_check(#[case] constraint: &str, #[case] change: &str) {
    let service = TestService::shared().await;
    let id = Uuid::now_v7();
    let mut transaction = service.database.pool.begin().await.unwrap();
    // Otherwise a trigger would reject every change.
    sqlx::raw_sql("set local session_replication_role = replica").execute(&mut *transaction).await.unwrap();
    let success = "insert into operation (
          id, requester_id, customer_id, resource, target_ids, status, deleted_rows, completed_at
        )
        values ($1, $1, $1, 'zone', array[$1], 'SUCCESS', 1, now())";
    sqlx::query(success).bind(id).execute(&mut *transaction).await.unwrap();

    let change = AssertSqlSafe(format!("update operation set {change} where id = $1"));
    let refused = sqlx::query(change).bind(id).execute(&mut *transaction).await.expect_err("it is refused");

    assert_eq!(rule(&refused), constraint);
}

/// The one check constraint of operations.
const OPERATION: &str = "operation_is_valid";

#[tokio::test]
async fn an_operation_ends_once() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    service.delete_one(family.requester, family.requester, Resource::Zone, Uuid::now_v7()).await;

    let rewrite = "update operation set status = 'SUCCESS', error_code = null, deleted_rows = 1";
    assert_eq!(refusal(&service.database, rewrite, &[]).await, "23001");
}

#[rstest]
#[case::a_contact_of_an_unknown_type(
    "22P02",
    "insert into contact (id, customer_id, email, mobile, type) values ($1, $2, 'a', '1', 'FRIEND')"
)]
#[case::a_contact_of_an_unknown_role(
    "22P02",
    "insert into contact (id, customer_id, email, mobile, role) values ($1, $2, 'a', '1', 'ADMIN')"
)]
#[case::a_contact_without_a_phone(
    "contact_is_valid",
    "insert into contact (id, customer_id, email) values ($1, $2, 'a')"
)]
#[case::a_deleter_of_a_live_contact(
    "contact_is_valid",
    "insert into contact (id, customer_id, email, mobile, deleted_by) values ($1, $2, 'a', '1', $1)"
)]
#[case::an_address_in_no_country(
    "address_is_valid",
    "insert into address (id, customer_id, line_1, city, country_code) values ($1, $2, 'a', 'b', 'CH')"
)]
#[case::a_zone_in_no_country(
    "zone_is_valid",
    "insert into zone (id, customer_id, name, country_code) values ($1, $2, 'a', 'deu')"
)]
#[case::a_zone_of_no_network(
    "zone_is_valid",
    "insert into zone (id, customer_id, name, country_code, plmns) values ($1, $2, 'a', 'DEU', '{26201,262}')"
)]
#[case::a_zone_of_a_null_network(
    "zone_is_valid",
    "insert into zone (id, customer_id, name, country_code, plmns) values ($1, $2, 'a', 'DEU', '{26201,null}')"
)]
#[case::a_product_that_costs_less_than_nothing(
    "product_is_valid",
    "insert into product (id, customer_id, name, cost) values ($1, $2, 'a', -1)"
)]
#[case::a_product_in_no_currency(
    "product_is_valid",
    "insert into product (id, customer_id, name, currency) values ($1, $2, 'a', 'euro')"
)]
#[case::a_product_that_renews_by_the_hour(
    "22P02",
    "insert into product (id, customer_id, name, renewal_interval) values ($1, $2, 'a', 'HOURLY')"
)]
#[tokio::test]
async fn a_row_that_breaks_a_rule_violates_the_named_constraint(#[case] constraint: &str, #[case] sql: &str) {
    let service = TestService::shared().await;
    let customer = service.world.customer(None).await;
    assert_eq!(refusal(&service.database, sql, &[Uuid::now_v7(), customer]).await, constraint);
}

#[tokio::test]
async fn every_table_and_view_and_every_column_has_a_comment() {
    let database = TestDatabase::migrated().await;
    let silent: Vec<String> = sqlx::query_scalar(
        "select pg_class.relname || coalesce('.' || pg_attribute.attname, '')
         from pg_class
         left join pg_attribute
           on pg_attribute.attrelid = pg_class.oid and pg_attribute.attnum > 0 and not pg_attribute.attisdropped
         where pg_class.relnamespace = 'public'::regnamespace
           and pg_class.relkind in ('r', 'v')
           and pg_class.relname <> '_sqlx_migrations'
           and (
             obj_description(pg_class.oid) is null
             -- The columns of a live view are those of its table.
             or (col_description(pg_class.oid, pg_attribute.attnum) is null and not starts_with(pg_class.relname, 'live_'))
           )",
    )
    .fetch_all(&database.pool)
    .await
    .unwrap();
    assert!(silent.is_empty(), "{silent:?}");
}
