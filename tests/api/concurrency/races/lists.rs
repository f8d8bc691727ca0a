//! Deletions of the same rows.

use std::net::SocketAddr;
use std::time::Duration;

use customer_deletion::resource::Resource;
use futures_util::future::join_all;
use sqlx::PgPool;
use uuid::Uuid;

use super::begin;
use crate::support::process::Process;
use crate::support::resources::{contract, every_list, every_resource, table};
use crate::support::service::{collection, send, until_so_many_wait};
use crate::support::{TestDatabase, TestService, World, body, client};

#[tokio::test]
async fn two_deletions_of_one_id_have_one_winner() {
    for resource in every_resource() {
        let code = contract(resource).unknown.0;
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
}

#[tokio::test]
async fn overlapping_lists_have_one_winner_for_each_id_and_are_never_torn() {
    for resource in every_list() {
        let service = TestService::start().await;
        let pool = &service.database.pool;
        let family = service.world.family().await;
        let customer = family.in_scope(resource);

        for _ in 0..3 {
            let ids: Vec<Uuid> = sqlx::query_scalar("select gen_random_uuid() from generate_series(1, 40)")
                .fetch_all(pool)
                .await
                .unwrap();
            World::new(pool.clone()).insert_rows(resource, customer, &ids).await;
            // Ten of the forty for each of sixteen clients, half of them the neighbour's too.
            let lists: Vec<Vec<Uuid>> =
                (0..16).map(|client| ids.iter().copied().cycle().skip(client * 5).take(10).collect()).collect();
            let calls = lists.iter().map(|list| service.delete_list(family.requester, customer, resource, list));
            let answers = join_all(calls).await;

            let winners: Vec<&Vec<Uuid>> =
                lists.iter().zip(&answers).filter(|(_, answer)| answer.status == 200).map(|(list, _)| list).collect();
            assert!(!winners.is_empty());
            assert!(answers.iter().all(|answer| [200, 404].contains(&answer.status)));
            let mut won: Vec<Uuid> = winners.into_iter().flatten().copied().collect();
            won.sort();
            assert_eq!(service.world.deleted(resource, &ids).await, won, "every id once, and no other");
        }
        let disagreements: i64 =
            sqlx::query_scalar(include_str!("../../support/disagreements.sql")).fetch_one(pool).await.unwrap();
        assert_eq!(disagreements, 0);
    }
}

/// Rows in the order in which the table stores them, and two lists that have the first and the last of them in common.
struct Crossing {
    first: Uuid,
    only_by_heap: Uuid,
    only_by_index: Uuid,
    last: Uuid,
}

async fn crossing(pool: &PgPool, resource: Resource, customer: Uuid) -> Crossing {
    let id = |number: u128| Uuid::from_u128(number);
    let rows = Crossing { last: id(4), only_by_heap: id(3), only_by_index: id(2), first: id(1) };
    let ids = [rows.last, rows.only_by_heap, rows.only_by_index, rows.first];
    World::new(pool.clone()).insert_rows(resource, customer, &ids).await;
    rows
}

#[tokio::test]
async fn rows_are_locked_in_the_order_of_their_ids_whatever_the_plan() {
    for resource in every_list() {
        let code = contract(resource).unknown.0;
        let message = contract(resource).unknown.1;
        let database = TestDatabase::migrated().await;
        let url = database.url.split('?').next().unwrap().to_owned();
        let with = |options: &str| format!("{url}?options={options}%20-c%20enable_bitmapscan%3Doff");
        // A planner that reads by the index, in the order of the ids, and one that reads the table as it is stored.
        let by_heap = Process::serve_patiently(&with("-c%20enable_indexscan%3Doff"));
        let by_index = TestService::start_on(database, |settings| {
            settings.database.url = Some(with("-c%20enable_seqscan%3Doff").into());
        })
        .await;
        let pool = &by_index.database.pool;
        let family = by_index.world.family().await;
        let customer = family.in_scope(resource);
        let rows = crossing(pool, resource, customer).await;
        let path = collection(customer, resource);
        let call = |address: SocketAddr, ids: [Uuid; 3]| {
            let call = client().delete(format!("http://{address}{path}"));
            tokio::spawn(send(call.header("X-Requester-Id", family.requester.to_string()).body(body(&ids))))
        };

        // Each plan is stopped between its first and its last row. If each has locked its first by then, neither gets on.
        let held = [rows.only_by_index, rows.only_by_heap];
        let hold = format!("select from {} where id in ($1, $2) for update", table(resource));
        let holding = begin(pool, &hold, &held).await;
        let one = call(by_index.address, [rows.first, rows.only_by_index, rows.last]);
        until_so_many_wait(pool, 1).await;
        let other = call(by_heap.address, [rows.last, rows.only_by_heap, rows.first]);
        until_so_many_wait(pool, 2).await;
        holding.rollback().await.unwrap();

        one.await.unwrap().assert_deleted();
        other.await.unwrap().assert_failed(404, code, message);
        // Backends report their statistics with a delay.
        tokio::time::sleep(Duration::from_millis(1200)).await;
        let deadlocks: i64 =
            sqlx::query_scalar("select deadlocks from pg_stat_database where datname = current_database()")
                .fetch_one(pool)
                .await
                .unwrap();
        assert_eq!(deadlocks, 0);
    }
}
