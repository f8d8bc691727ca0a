//! Calls that meet each other, or another service, at the same rows.
//!
//! Most tests here hold a lock, let the call run into it, change the world, and let go. So they show the same every time.

use std::net::SocketAddr;
use std::time::Duration;

use customer_deletion::resource::Resource;
use futures_util::future::join_all;
use rstest::rstest;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::support::process::Process;
use crate::support::service::{Answer, collection, send};
use crate::support::world::Family;
use crate::support::{TestDatabase, TestService, body};

/// Sends a deletion in the background, so that the test can go on while it waits.
fn in_background(service: &TestService, family: Family, resource: Resource, ids: &[Uuid]) -> JoinHandle<Answer> {
    let customer = family.in_scope(resource);
    let call = match (resource, ids) {
        (Resource::Product, [id]) => {
            let path = format!("{}/{id}", collection(customer, resource));
            service.call(reqwest::Method::DELETE, &path, family.requester)
        }
        _ => service.call(reqwest::Method::DELETE, &collection(customer, resource), family.requester).body(body(ids)),
    };
    tokio::spawn(send(call))
}

/// A transaction of another service, with one statement done.
async fn begin(pool: &PgPool, sql: &str, ids: &[Uuid]) -> Transaction<'static, Postgres> {
    let mut tx = pool.begin().await.unwrap();
    run(&mut tx, sql, ids).await.unwrap();
    tx
}

async fn run(connection: &mut PgConnection, sql: &str, ids: &[Uuid]) -> Result<u64, sqlx::Error> {
    let query = ids.iter().fold(sqlx::query(AssertSqlSafe(sql.to_owned())), |query, id| query.bind(*id));
    query.execute(connection).await.map(|result| result.rows_affected())
}

/// Waits until so many backends of the test's database wait for a lock.
async fn until_waiting(pool: &PgPool, count: i64) {
    for _ in 0..1000 {
        let waiting: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
        )
        .fetch_one(pool)
        .await
        .unwrap();
        if waiting >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("nobody waits for a lock");
}

fn code_of(error: &sqlx::Error) -> String {
    error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned()
}

async fn assert_no_deleted_product_is_allocated(pool: &PgPool) {
    let broken: i64 = sqlx::query_scalar(
        "select count(*)
         from product_allocation
         join product on product.id = product_allocation.product_id
         join customer on customer.id = product_allocation.customer_id
         where product.deleted_at is not null
           and product_allocation.detached_at is null
           and customer.deleted_at is null",
    )
    .fetch_one(pool)
    .await
    .unwrap();
    assert_eq!(broken, 0, "a deleted product is allocated");
}

const ALLOCATE: &str =
    "insert into product_allocation (id, product_id, customer_id) values (gen_random_uuid(), $1, $2)";
const ALLOCATED: (u16, &str, &str) = (
    409,
    "CUSTOMER_1046",
    "Product deletion failure. It is not allowed to delete a product allocated to sub customers",
);

#[tokio::test]
async fn a_product_that_is_just_being_allocated_stays() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let product = service.world.product(family.requester).await;

    let allocating = begin(pool, ALLOCATE, &[product, family.sub_customer]).await;
    let call = in_background(&service, family, Resource::Product, &[product]);
    until_waiting(pool, 1).await;
    allocating.commit().await.unwrap();

    call.await.unwrap().assert_failed(ALLOCATED.0, ALLOCATED.1, ALLOCATED.2);
    assert!(service.world.deleted(Resource::Product, &[product]).await.is_empty());
}

#[tokio::test]
async fn an_allocation_that_is_committed_after_the_deletion_looked_is_still_seen() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let product = service.world.product(family.requester).await;

    // The deletion takes its snapshot, and waits for its customer before it comes to the product.
    let holding = begin(pool, "select from customer where id = $1 for update", &[family.requester]).await;
    let call = in_background(&service, family, Resource::Product, &[product]);
    until_waiting(pool, 1).await;
    service.world.allocation(product, family.sub_customer).await;
    holding.rollback().await.unwrap();

    call.await.unwrap().assert_failed(ALLOCATED.0, ALLOCATED.1, ALLOCATED.2);
    assert!(service.world.deleted(Resource::Product, &[product]).await.is_empty());
}

#[tokio::test]
async fn a_product_that_is_just_being_deleted_cannot_be_allocated() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let product = service.world.product(family.requester).await;
    // The deletion waits at the record of its operation, with the product deleted but not committed.
    sqlx::raw_sql(
        "create function wait_for_test() returns trigger language plpgsql as
           $$ begin perform pg_advisory_xact_lock_shared(1); return new; end $$;
         create trigger wait_for_test before insert on operation for each row execute function wait_for_test();",
    )
    .execute(pool)
    .await
    .unwrap();
    let mut holding = pool.begin().await.unwrap();
    run(&mut holding, "select pg_advisory_xact_lock(1)", &[]).await.unwrap();

    let call = in_background(&service, family, Resource::Product, &[product]);
    until_waiting(pool, 1).await;
    let allocator = pool.clone();
    let allocation = tokio::spawn(async move {
        let mut connection = allocator.acquire().await.unwrap();
        run(&mut connection, ALLOCATE, &[product, family.sub_customer]).await
    });
    until_waiting(pool, 2).await;
    holding.rollback().await.unwrap();

    call.await.unwrap().assert_deleted();
    assert_eq!(code_of(&allocation.await.unwrap().unwrap_err()), "23503");
    assert_no_deleted_product_is_allocated(pool).await;
}

#[tokio::test]
async fn deleting_and_allocating_at_once_never_leaves_both() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;

    let (mut deletions, mut allocations) = (0, 0);
    for round in 0..100 {
        let product = service.world.product(family.requester).await;
        let mut connection = pool.acquire().await.unwrap();
        let allocate = async {
            tokio::time::sleep(Duration::from_micros(100 * (round % 20))).await;
            run(&mut connection, ALLOCATE, &[product, family.sub_customer]).await
        };
        let delete = service.delete_one(family.requester, family.requester, Resource::Product, product);
        let (allocated, answer) = tokio::join!(allocate, delete);
        match (allocated, answer.status) {
            (Ok(_), 409) => allocations += 1,
            (Err(error), 200) if code_of(&error) == "23503" => deletions += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(deletions + allocations, 100);
    assert_no_deleted_product_is_allocated(pool).await;
}

#[rstest]
#[case::contact(Resource::Contact, "CUSTOMER_1017")]
#[case::address(Resource::Address, "CUSTOMER_1018")]
#[case::external_params(Resource::ExternalParams, "CUSTOMER_1026")]
#[case::zone(Resource::Zone, "CUSTOMER_1030")]
#[case::product(Resource::Product, "CUSTOMER_1047")]
#[tokio::test]
async fn two_deletions_of_one_id_have_one_winner(#[case] resource: Resource, #[case] code: &str) {
    let service = TestService::start().await;
    let family = service.world.family().await;

    for _ in 0..15 {
        let row = service.world.row(resource, family.in_scope(resource)).await;
        let ids = [row];
        let calls = (0..6).map(|_| service.delete(family.requester, family.in_scope(resource), resource, &ids));
        let answers = join_all(calls).await;

        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        for loser in answers.iter().filter(|answer| answer.status != 200) {
            assert_eq!((loser.status, loser.json()["errorCode"].as_str()), (404, Some(code)));
        }
    }
}

#[tokio::test]
async fn overlapping_lists_have_one_winner_for_each_id_and_are_never_torn() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;

    for _ in 0..12 {
        let ids: Vec<Uuid> = sqlx::query_scalar(
            "insert into contact (id, customer_id, email, mobile)
             select gen_random_uuid(), $1, 'a@example.com', '+491510000' from generate_series(1, 40) returning id",
        )
        .bind(family.sub_customer)
        .fetch_all(pool)
        .await
        .unwrap();
        // Ten of the forty for each of sixteen clients, half of them the neighbour's too.
        let lists: Vec<Vec<Uuid>> =
            (0..16).map(|client| ids.iter().copied().cycle().skip(client * 5).take(10).collect()).collect();
        let calls = lists
            .iter()
            .map(|list| service.delete_list(family.requester, family.sub_customer, Resource::Contact, list));
        let answers = join_all(calls).await;

        let winners: Vec<&Vec<Uuid>> =
            lists.iter().zip(&answers).filter(|(_, answer)| answer.status == 200).map(|(list, _)| list).collect();
        assert!(!winners.is_empty());
        assert!(answers.iter().all(|answer| [200, 404].contains(&answer.status)));
        let mut won: Vec<Uuid> = winners.into_iter().flatten().copied().collect();
        won.sort();
        assert_eq!(service.world.deleted(Resource::Contact, &ids).await, won, "every id once, and no other");
    }
    let disagreements: i64 = sqlx::query_scalar(include_str!("disagreements.sql")).fetch_one(pool).await.unwrap();
    assert_eq!(disagreements, 0);
}

/// Rows in the order in which the table stores them, and two lists that have the first and the last of them in common.
struct Crossing {
    first: Uuid,
    only_by_heap: Uuid,
    only_by_index: Uuid,
    last: Uuid,
}

async fn crossing(service: &TestService, customer: Uuid) -> Crossing {
    let id = |number: u128| Uuid::from_u128(number);
    let rows = Crossing { last: id(4), only_by_heap: id(3), only_by_index: id(2), first: id(1) };
    for row in [rows.last, rows.only_by_heap, rows.only_by_index, rows.first] {
        let sql = "insert into contact (id, customer_id, email, mobile) values ($1, $2, 'a@example.com', '+491510000')";
        sqlx::query(sql).bind(row).bind(customer).execute(&service.database.pool).await.unwrap();
    }
    rows
}

#[tokio::test]
async fn rows_are_locked_in_the_order_of_their_ids_whatever_the_plan() {
    let database = TestDatabase::migrated().await;
    let url = database.url.split('?').next().unwrap().to_owned();
    let with = |options: &str| format!("{url}?options={options}%20-c%20enable_bitmapscan%3Doff");
    // A planner that reads by the index, in the order of the ids, and one that reads the table as it is stored.
    let by_heap = Process::serve(&with("-c%20enable_indexscan%3Doff"));
    let by_index = TestService::start_on(database, |settings| {
        settings.database.url = Some(with("-c%20enable_seqscan%3Doff").into());
    })
    .await;
    let pool = &by_index.database.pool;
    let family = by_index.world.family().await;
    let rows = crossing(&by_index, family.sub_customer).await;
    let path = collection(family.sub_customer, Resource::Contact);
    let call = |address: SocketAddr, ids: [Uuid; 3]| {
        let call = reqwest::Client::new().delete(format!("http://{address}{path}"));
        tokio::spawn(send(call.header("X-Requester-Id", family.requester.to_string()).body(body(&ids))))
    };

    // Each plan is stopped between its first and its last row. If each has locked its first by then, neither gets on.
    let held = [rows.only_by_index, rows.only_by_heap];
    let holding = begin(pool, "select from contact where id in ($1, $2) for update", &held).await;
    let one = call(by_index.address, [rows.first, rows.only_by_index, rows.last]);
    until_waiting(pool, 1).await;
    let other = call(by_heap.address, [rows.last, rows.only_by_heap, rows.first]);
    until_waiting(pool, 2).await;
    holding.rollback().await.unwrap();

    one.await.unwrap().assert_deleted();
    other.await.unwrap().assert_failed(404, "CUSTOMER_1017", "Unknown Contact ID");
    // Backends report their statistics with a delay.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let deadlocks: i64 =
        sqlx::query_scalar("select deadlocks from pg_stat_database where datname = current_database()")
            .fetch_one(pool)
            .await
            .unwrap();
    assert_eq!(deadlocks, 0);
}

#[tokio::test]
async fn a_customer_cannot_be_re_parented_while_a_deletion_waits_for_a_row() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;

    let holding = begin(pool, "select from contact where id = $1 for update", &[contact]).await;
    let call = in_background(&service, family, Resource::Contact, &[contact]);
    until_waiting(pool, 1).await;

    for sql in [
        "update customer set parent_id = $2 where id = $1",
        "update customer set deleted_at = now() where id = $1 and id <> $2",
    ] {
        let mut tx = pool.begin().await.unwrap();
        run(&mut tx, "set local lock_timeout = '50ms'", &[]).await.unwrap();
        let moved = run(&mut tx, sql, &[family.sub_customer, family.sibling]).await;
        assert_eq!(code_of(&moved.unwrap_err()), "55P03", "{sql}");
    }
    holding.rollback().await.unwrap();

    call.await.unwrap().assert_deleted();
}

#[tokio::test]
async fn an_ordinary_update_of_a_customer_and_a_deletion_do_not_wait_for_each_other() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let rename = "update customer set name = 'Renamed' where id in ($1, $2)";

    let renaming = begin(&service.database.pool, rename, &[family.requester, family.sub_customer]).await;
    let answer = service.delete_one(family.requester, family.sub_customer, Resource::Contact, contact).await;
    renaming.rollback().await.unwrap();

    answer.assert_deleted();
}

#[rstest]
#[case::re_parented("update customer set parent_id = $2 where id = $1", "CUSTOMER_1002")]
#[case::moved_one_level_down(
    "update customer set parent_id = (select id from customer where parent_id = (select parent_id from customer where id = $1) and id <> $1) where id = $1 and id <> $2",
    "AUTH_1010"
)]
#[case::deleted("update customer set deleted_at = now() where id = $1 and id <> $2", "CUSTOMER_1002")]
#[tokio::test]
async fn a_deletion_that_waited_for_its_customer_acts_on_what_it_finds_then(#[case] sql: &str, #[case] code: &str) {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;

    let moving = begin(pool, sql, &[family.sub_customer, family.sibling]).await;
    let call = in_background(&service, family, Resource::Contact, &[contact]);
    until_waiting(pool, 1).await;
    moving.commit().await.unwrap();

    let answer = call.await.unwrap();
    assert_eq!((answer.status, answer.json()["errorCode"].as_str()), (404, Some(code)), "{}", answer.text);
    assert!(service.world.deleted(Resource::Contact, &[contact]).await.is_empty());
}

#[tokio::test]
async fn a_requester_that_is_deleted_while_its_call_waits_deletes_nothing() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let zone = service.world.zone(family.requester).await;

    let dying = begin(pool, "update customer set deleted_at = now() where id = $1", &[family.requester]).await;
    let call = in_background(&service, family, Resource::Zone, &[zone]);
    until_waiting(pool, 1).await;
    dying.commit().await.unwrap();

    call.await.unwrap().assert_failed(404, "CUSTOMER_1002", "Customer does not exist");
    assert!(service.world.deleted(Resource::Zone, &[zone]).await.is_empty());
}

#[tokio::test]
async fn a_contact_that_moves_to_another_customer_while_a_deletion_waits_for_it_stays() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let contacts = service.world.rows(Resource::Contact, family.sub_customer, 3).await;

    let sql = "update contact set customer_id = $2 where id = $1";
    let moving = begin(pool, sql, &[contacts[1], family.second_sub_customer]).await;
    let call = in_background(&service, family, Resource::Contact, &contacts);
    until_waiting(pool, 1).await;
    moving.commit().await.unwrap();

    call.await.unwrap().assert_failed(404, "AUTH_1010", "Contact for your customer was not found");
    assert!(service.world.deleted(Resource::Contact, &contacts).await.is_empty());
}

#[rstest]
#[case::sub_customer("sub_customer_id", "update customer set parent_id = $2 where id = $1")]
#[case::subscriber("subscriber_id", "update subscriber set customer_id = $2 where id = $1")]
#[case::sell_plan("sell_plan_id", "update sell_plan set customer_id = $2 where id = $1")]
#[tokio::test]
async fn external_params_stay_when_their_entity_moves_while_the_deletion_waits(
    #[case] column: &'static str,
    #[case] sql: &str,
) {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let entity = match column {
        "sub_customer_id" => family.sub_customer,
        "subscriber_id" => service.world.subscriber(family.requester).await,
        _ => service.world.sell_plan(family.requester).await,
    };
    let params = service.world.external_params(family.requester, column, entity).await;

    let moving = begin(pool, sql, &[entity, family.sibling]).await;
    let call = in_background(&service, family, Resource::ExternalParams, &[params]);
    until_waiting(pool, 1).await;
    moving.commit().await.unwrap();

    call.await.unwrap().assert_failed(404, "CUSTOMER_1026", "Failed to delete external params item");
    assert!(service.world.deleted(Resource::ExternalParams, &[params]).await.is_empty());
}

#[rstest]
#[case::sub_customer("sub_customer_id", "update customer set parent_id = $2 where id = $1")]
#[case::subscriber("subscriber_id", "update subscriber set customer_id = $2 where id = $1")]
#[case::sell_plan("sell_plan_id", "update sell_plan set customer_id = $2 where id = $1")]
#[tokio::test]
async fn an_entity_cannot_move_while_a_deletion_waits_for_its_external_params(
    #[case] column: &'static str,
    #[case] sql: &str,
) {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let entity = match column {
        "sub_customer_id" => family.sub_customer,
        "subscriber_id" => service.world.subscriber(family.requester).await,
        _ => service.world.sell_plan(family.requester).await,
    };
    let params = service.world.external_params(family.requester, column, entity).await;

    let holding = begin(pool, "select from external_params where id = $1 for update", &[params]).await;
    let call = in_background(&service, family, Resource::ExternalParams, &[params]);
    until_waiting(pool, 1).await;
    let mut tx = pool.begin().await.unwrap();
    run(&mut tx, "set local lock_timeout = '50ms'", &[]).await.unwrap();
    let moved = run(&mut tx, sql, &[entity, family.sibling]).await;
    assert_eq!(code_of(&moved.unwrap_err()), "55P03");
    holding.rollback().await.unwrap();

    call.await.unwrap().assert_deleted();
}
