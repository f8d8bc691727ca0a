//! Several replicas of the service side by side, on one database.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use futures_util::future::join_all;
use uuid::Uuid;

use crate::concurrency::queued::assert_accepted;
use crate::dba::in_use::load::Load;
use crate::support::process::Process;
use crate::support::service::{Answer, collection, send};
use crate::support::world::Family;
use crate::support::{TestDatabase, World, body, client};

const REPLICAS: usize = 3;

struct Replicas {
    processes: Vec<Process>,
    world: World,
    family: Family,
    database: TestDatabase,
}

impl Replicas {
    async fn start() -> Replicas {
        let database = TestDatabase::migrated().await;
        let processes = (0..REPLICAS).map(|_| Process::serve(&database.url)).collect();
        let world = World::new(database.pool.clone());
        let family = world.family().await;
        Replicas { processes, world, family, database }
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.processes.iter().map(|process| process.address).collect()
    }

    async fn delete(&self, replica: usize, ids: &[Uuid], key: Option<&str>) -> Answer {
        let path = collection(self.family.sub_customer, Resource::Contact);
        let call = client()
            .delete(format!("http://{}{path}", self.processes[replica % REPLICAS].address))
            .header("X-Requester-Id", self.family.requester.to_string())
            .body(body(ids));
        send(key.into_iter().fold(call, |call, key| call.header("Idempotency-Key", key))).await
    }

    async fn assert_rows_and_operations_agree(&self) {
        crate::support::audit::assert_agreement(&self.database.pool).await;
    }
}

#[tokio::test]
async fn calls_to_three_replicas_over_the_same_rows_have_one_winner_for_each_id() {
    let replicas = Replicas::start().await;
    let load = Load::start(&replicas.addresses(), &replicas.database.pool, replicas.family, 3);
    for _ in 0..10 {
        let ids = replicas.world.rows(Resource::Contact, replicas.family.sub_customer, 4).await;
        // Every list overlaps with two others.
        let lists: Vec<Vec<Uuid>> = (0..12).map(|call| vec![ids[call % 4], ids[(call + 1) % 4]]).collect();
        let answers = join_all(lists.iter().enumerate().map(|(call, list)| replicas.delete(call, list, None))).await;

        let winners: Vec<&Uuid> =
            lists.iter().zip(&answers).filter(|(_, answer)| answer.status == 200).flat_map(|(list, _)| list).collect();
        let mut distinct = winners.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(winners.len(), distinct.len(), "an id was deleted twice");
        assert!(!winners.is_empty(), "{answers:?}");
        let losers = answers.iter().filter(|answer| answer.status != 200);
        for loser in losers {
            loser.assert_failed(404, "CUSTOMER_1017", "Unknown Contact ID");
        }
    }
    load.until_answered(20).await;
    load.stop().await.assert_no_failure();
    replicas.assert_rows_and_operations_agree().await;
}

#[tokio::test]
async fn twins_under_one_key_have_one_effect_and_one_answer_whichever_replicas_they_meet() {
    let replicas = Replicas::start().await;
    for round in 0..10 {
        let ids = replicas.world.rows(Resource::Contact, replicas.family.sub_customer, 3).await;
        let key = format!("round-{round}");
        let answers = join_all((0..9).map(|call| replicas.delete(call, &ids, Some(&key)))).await;

        let request_id = answers[0].assert_deleted();
        assert!(answers.iter().all(|answer| answer.assert_deleted() == request_id));
        let first = answers.iter().filter(|answer| answer.header("Idempotency-Replayed").is_none());
        assert_eq!(first.count(), 1);
        // A replica that never saw the first call rejects another one under its key.
        let other = replicas.delete(round + 1, &ids[..1], Some(&key)).await;
        assert_eq!(other.status, 422, "{}", other.text);
    }
    replicas.assert_rows_and_operations_agree().await;
}

/// Any replica can execute an operation that another one accepted, and show its status.
#[tokio::test]
async fn calls_that_do_not_wait_are_executed_once_whichever_replica_accepted_them() {
    const CALLS: usize = 60;
    let replicas = Replicas::start().await;
    let rows = replicas.world.rows(Resource::Contact, replicas.family.sub_customer, CALLS * 2).await;
    let path = collection(replicas.family.sub_customer, Resource::Contact);
    let accepted = rows.chunks(2).enumerate().map(async |(number, ids)| {
        let call = client()
            .delete(format!("http://{}{path}", replicas.processes[number % REPLICAS].address))
            .header("X-Requester-Id", replicas.family.requester.to_string())
            .header("Prefer", "respond-async");
        assert_accepted(&send(call.body(body(ids))).await)
    });
    let accepted = join_all(accepted).await;

    let began = Instant::now();
    for (number, operation) in accepted.into_iter().enumerate() {
        let path = format!("/api/v2/global/call/{operation}");
        let ask = async || {
            let call = client().get(format!("http://{}{path}", replicas.processes[(number + 1) % REPLICAS].address));
            let answer = send(call.header("X-Requester-Id", replicas.family.requester.to_string())).await;
            answer.json()["content"][0]["status"].as_str().unwrap().to_owned()
        };
        let mut status = ask().await;
        while status == "OPEN" && began.elapsed() < Duration::from_secs(60) {
            tokio::time::sleep(Duration::from_millis(20)).await;
            status = ask().await;
        }
        assert_eq!(status, "SUCCESS");
    }
    assert_eq!(replicas.world.deleted(Resource::Contact, &rows).await.len(), rows.len());
    replicas.assert_rows_and_operations_agree().await;
}
