//! Deletions of the same rows.

use futures_util::future::join_all;
use uuid::Uuid;

use super::{begin, code_of, in_background, run};
use crate::support::resources::{contract, every_list, every_resource, table};
use crate::support::service::until_so_many_wait;
use crate::support::{TestDatabase, TestService, World};

#[tokio::test]
async fn two_deletions_of_one_id_have_one_winner() {
    race_for_one_id(3).await;
}

#[tokio::test]
#[ignore = "many rounds; cargo test --test api -- --ignored two_deletions"]
async fn two_deletions_of_one_id_have_one_winner_in_many_rounds() {
    race_for_one_id(50).await;
}

async fn race_for_one_id(rounds: usize) {
    for resource in every_resource() {
        let code = contract(resource).unknown.0;
        let service = TestService::shared().await;
        let family = service.world.family().await;

        for _ in 0..rounds {
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
    let service = TestService::start().await;
    let pool = &service.database.pool;
    for resource in every_list() {
        let family = service.world.family().await;
        let customer = family.in_scope(resource);

        for _ in 0..3 {
            let ids: Vec<Uuid> = sqlx::query_scalar("select gen_random_uuid() from generate_series(1, 40)")
                .fetch_all(pool)
                .await
                .unwrap();
            World::new(pool.clone()).insert_rows(resource, customer, &ids).await;
            // Each of sixteen clients has ten of the forty ids, and shares half of them with its neighbour.
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
    }
    crate::support::audit::assert_agreement(pool).await;
}

#[tokio::test]
async fn rows_are_locked_in_the_order_of_their_ids_and_not_as_the_table_stores_them() {
    let database = TestDatabase::migrated().await;
    // These settings replace those of the service. With them, a planner reads tables in the order in which they are stored.
    let url = database.url.split('?').next().unwrap().to_owned();
    let by_heap = format!("{url}?options=-c%20enable_indexscan%3Doff%20-c%20enable_bitmapscan%3Don");
    let service = TestService::start_on(database, |settings| settings.database.url = Some(by_heap.into())).await;
    let pool = &service.database.pool;
    for resource in every_list() {
        let family = service.world.family().await;
        let [first, middle, last] = [1, 2, 3].map(Uuid::from_u128);
        let as_stored = [last, middle, first];
        service.world.insert_rows(resource, family.in_scope(resource), &as_stored).await;
        let look = format!("select from {} where id = $1 for update nowait", table(resource));

        let holding = begin(pool, &look, &[middle]).await;
        let call = in_background(&service, family, resource, &as_stored);
        until_so_many_wait(pool, 1).await;
        let locked = run(&mut pool.acquire().await.unwrap(), &look, &[first]).await.unwrap_err();
        assert_eq!(code_of(&locked), "55P03", "{resource:?}: the first row is locked");
        begin(pool, &look, &[last]).await.rollback().await.unwrap();
        holding.rollback().await.unwrap();

        call.await.unwrap().assert_deleted();
    }
}
