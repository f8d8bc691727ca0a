//! Replicas are killed at any point, while operations are queued and executed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{assert_agreement, list, waiting};
use crate::faults::audit::until_quiet;
use crate::support::process::Process;
use crate::support::service::collection;
use crate::support::world::Family;
use crate::support::{TestDatabase, TestPool, World, client};

const REPLICAS: usize = 3;

/// The longest time from the last kill until every operation has ended.
const LONGEST_RECOVERY: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "fifty kills: takes 2 minutes; cargo test --test api -- --ignored fifty_kills"]
async fn fifty_kills_of_replicas_during_a_thousand_operations_leave_every_one_ended_once() {
    kill_replicas(50, 1000).await;
}

/// One call, and the outcome that it must have.
pub struct Wanted {
    pub key: String,
    pub requester: Uuid,
    pub customer: Uuid,
    pub ids: Vec<Uuid>,
    pub status: &'static str,
}

async fn kill_replicas(kills: usize, operations: usize) {
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    record_ends(&database.pool).await;
    let families = [world.family().await, world.family().await, world.family().await];
    let mut wanted = Vec::new();
    for number in 0..operations {
        wanted.push(want(&world, &families[number % families.len()], number).await);
    }
    let replicas: Arc<Mutex<Vec<Process>>> =
        Arc::new(Mutex::new((0..REPLICAS).map(|_| Process::serve(&database.url)).collect()));

    let pause = Duration::from_millis(15) * operations.div_ceil(kills).try_into().unwrap();
    let (accepting, accepted) = accept_all(&replicas, Arc::new(wanted)).await;
    for _ in 0..kills {
        tokio::time::sleep(pause / 2 + random(pause)).await;
        let victim = {
            let mut replicas = replicas.lock().unwrap();
            let place = Uuid::now_v7().as_u128() as usize % replicas.len();
            let fresh = Process::serve(&database.url);
            std::mem::replace(&mut replicas[place], fresh)
        };
        victim.kill();
    }
    let last_kill = Instant::now();
    accepting.join_all().await;

    while waiting(&database.pool).await > 0 {
        let left = waiting(&database.pool).await;
        assert!(last_kill.elapsed() < LONGEST_RECOVERY, "{left} operations are open a minute after the last kill");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    until_quiet(&database.pool).await;
    let accepted = Arc::into_inner(accepted).unwrap().into_inner().unwrap();
    assert_eq!(accepted.len(), operations);
    assert_ended_once(&database.pool, &accepted).await;
    assert_agreement(&database.pool).await;
}

/// Most calls should succeed. Each tenth has an unknown id.
async fn want(world: &World, family: &Family, number: usize) -> Wanted {
    let mut ids = world.rows(Resource::Contact, family.sub_customer, 3).await;
    let fails = number % 10 == 9;
    if fails {
        ids.push(Uuid::now_v7());
    }
    Wanted {
        key: format!("operation-{number}"),
        requester: family.requester,
        customer: family.sub_customer,
        ids,
        status: if fails { "FAILURE" } else { "SUCCESS" },
    }
}

type Accepted = Arc<Mutex<HashMap<Uuid, &'static str>>>;

/// Four callers, each of which sends a call again under its key until it is accepted.
async fn accept_all(replicas: &Arc<Mutex<Vec<Process>>>, wanted: Arc<Vec<Wanted>>) -> (JoinSet<()>, Accepted) {
    const CALLERS: usize = 4;
    let accepted = Accepted::default();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (replicas, wanted, accepted) = (Arc::clone(replicas), Arc::clone(&wanted), Arc::clone(&accepted));
        callers.spawn(async move {
            for call in wanted.iter().skip(caller).step_by(CALLERS) {
                let operation = until_accepted(&replicas, call).await;
                let earlier = accepted.lock().unwrap().insert(operation, call.status);
                assert_eq!(earlier, None, "two calls are one operation");
            }
        });
    }
    (callers, accepted)
}

pub async fn until_accepted(replicas: &Mutex<Vec<Process>>, call: &Wanted) -> Uuid {
    let began = Instant::now();
    loop {
        let address = {
            let replicas = replicas.lock().unwrap();
            replicas[Uuid::now_v7().as_u128() as usize % replicas.len()].address
        };
        let request = client()
            .delete(format!("http://{address}{}", collection(call.customer, Resource::Contact)))
            .header("X-Requester-Id", call.requester.to_string())
            .header("Idempotency-Key", &call.key)
            .header("Prefer", "respond-async")
            .body(list(&call.ids));
        if let Ok(answer) = request.send().await {
            let status = answer.status().as_u16();
            assert!(status == 202 || status == 503, "{status}");
            if status == 202 {
                return answer.headers()["Request-Id"].to_str().unwrap().parse().unwrap();
            }
        }
        assert!(began.elapsed() < Duration::from_secs(60), "a call is not accepted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Records each end of an operation, and slows the work down, so that kills come in the middle.
pub async fn record_ends(pool: &TestPool) {
    sqlx::raw_sql(
        "create table ends (operation_id uuid, status text);
         create function note() returns trigger language plpgsql security definer as $$
         begin insert into ends values (new.id, new.status); return null; end $$;
         create trigger note after update on operation for each row execute function note();
         create function slowly() returns trigger language plpgsql as $$ begin perform pg_sleep(0.003); return new; end $$;
         create trigger slowly before update on contact for each row execute function slowly();",
    )
    .execute(pool)
    .await
    .unwrap();
}

async fn assert_ended_once(pool: &TestPool, accepted: &HashMap<Uuid, &'static str>) {
    let ends: Vec<(Uuid, String)> =
        sqlx::query_as("select operation_id, status from ends").fetch_all(pool).await.unwrap();
    assert_eq!(ends.len(), accepted.len(), "an operation ended more than once, or not at all");
    for (operation, status) in &ends {
        assert_eq!(accepted.get(operation), Some(&status.as_str()), "{operation}");
    }
    let operations: i64 = sqlx::query_scalar("select count(*) from operation").fetch_one(pool).await.unwrap();
    assert_eq!(operations, accepted.len() as i64);
}

pub fn random(longest: Duration) -> Duration {
    Duration::from_micros(Uuid::now_v7().as_u128() as u64 % longest.as_micros().max(1) as u64)
}
