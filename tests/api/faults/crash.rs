//! The service is killed in the middle of calls.

use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use uuid::Uuid;

use crate::faults::audit::until_quiet;
use crate::support::process::Process;
use crate::support::service::collection;
use crate::support::{TestDatabase, World, body, client};

const CALLS: usize = 100;
const IDS: usize = 5;

#[tokio::test]
#[ignore = "a hundred kills: takes half a minute; cargo test --test api -- --ignored crash"]
async fn killing_the_service_at_any_point_leaves_rows_and_operations_in_agreement() {
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    let family = world.family().await;
    // Each row takes a millisecond, so that the kill comes in the middle of the statement as often as outside it.
    sqlx::raw_sql(
        "create function slowly() returns trigger language plpgsql as $$ begin perform pg_sleep(0.001); return new; end $$;
         create trigger slowly before update on contact for each row execute function slowly();",
    )
    .execute(&database.pool)
    .await
    .unwrap();
    let path = collection(family.sub_customer, Resource::Contact);

    let mut unanswered = 0;
    let mut longest_pause = Duration::from_millis(40);
    for number in 0..CALLS {
        let contacts = world.rows(Resource::Contact, family.sub_customer, IDS).await;
        let process = Process::serve(&database.url);
        // The first call opens the session, which takes longer than everything else.
        let status = format!("http://{}/api/v2/global/call/{}", process.address, Uuid::now_v7());
        let warm_up = client().get(status).header("X-Requester-Id", family.requester.to_string());
        assert_eq!(warm_up.send().await.unwrap().status().as_u16(), 404);
        let call = client()
            .delete(format!("http://{}{path}", process.address))
            .header("X-Requester-Id", family.requester.to_string())
            .body(body(&contacts));
        let began = Instant::now();
        let call = tokio::spawn(call.send());
        if number == 0 {
            // A busy machine takes longer for it.
            assert_eq!(call.await.unwrap().unwrap().status().as_u16(), 200);
            longest_pause = longest_pause.max(2 * began.elapsed());
            continue;
        }
        tokio::time::sleep(random_pause(longest_pause)).await;
        process.kill();
        unanswered += usize::from(call.await.unwrap().is_err());
    }

    until_quiet(&database.pool).await;
    crate::support::audit::assert_agreement(&database.pool).await;
    let done: i64 = sqlx::query_scalar("select count(*) from operation").fetch_one(&database.pool).await.unwrap();
    assert!(done > 1 && unanswered > 0, "{done} deletions, {unanswered} without an answer: the kills missed the calls");
}

fn random_pause(longest: Duration) -> Duration {
    Duration::from_micros(Uuid::now_v7().as_u128() as u64 % longest.as_micros() as u64)
}
