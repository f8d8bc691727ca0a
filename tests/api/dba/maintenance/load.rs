//! A purge of many rows while a service is working.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::Client;
use uuid::Uuid;

use super::{maintenance, rows, told};
use crate::support::process::Process;
use crate::support::{TestDatabase, TestPool, World};

/// Calls a second. This is an easy rate for PostgreSQL and for the machine.
const RATE: u32 = 200;

/// The purge works for this long, and sleeps for as long, alternately. So both halves see the same machine.
const WINDOW: Duration = Duration::from_secs(2);

/// The number of customers whose contacts are deleted meanwhile.
const CUSTOMERS: usize = 100;

/// The number of rows to purge: from the environment, or else few enough for every run.
fn size() -> i64 {
    std::env::var("PURGE_ROWS").map_or(50_000, |rows| rows.parse().expect("PURGE_ROWS is a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a load test: takes 1 minute for 50,000 rows; PURGE_ROWS=1000000 cargo test --test api -- --ignored purge_of_a_million"]
async fn purge_of_a_million_leaves_the_p99_of_the_service_alone() {
    let database = TestDatabase::migrated().await;
    let size = size();
    let (requester, customers) = fill(&database, size).await;
    let process = Process::serve_impatiently(&database.url);
    let caller = Caller::new(&process, requester, customers, &database.pool).await;
    caller.call_for(Duration::from_secs(3), &mut Vec::new()).await;

    let began = Instant::now();
    let mut purge = maintenance(&database, &["purge", "--older-than", "90d"]);
    let mut purge = purge.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let (mut with, mut without) = (Vec::new(), Vec::new());
    let mut worked = Duration::ZERO;
    while purge.try_wait().unwrap().is_none() {
        caller.call_for(WINDOW, &mut with).await;
        worked += WINDOW;
        signal(&purge, "-STOP");
        caller.call_for(WINDOW, &mut without).await;
        signal(&purge, "-CONT");
    }

    let output = purge.wait_with_output().unwrap();
    let summary = String::from_utf8(output.stdout).unwrap();
    assert_eq!((told(&summary, "contact"), output.status.code()), (size as u64, Some(0)), "{summary}");
    assert_eq!(rows(&database.pool, "contact where deleted_at < now() - interval '90 days'").await, 0);
    let (p99_with, p99_without) = (p99(&mut with), p99(&mut without));
    println!(
        "{size} rows in {worked:?} of work ({:?} in all): p99 with the purge {p99_with:?} of {} calls, without \
         {p99_without:?} of {} calls, ratio {:.2}; p50 {:?} and {:?}",
        began.elapsed(),
        with.len(),
        without.len(),
        p99_with.as_secs_f64() / p99_without.as_secs_f64(),
        with[with.len() / 2],
        without[without.len() / 2],
    );
    // Generous, for a machine that has other work too. The printed ratio is the result.
    let most = p99_without.mul_f64(1.5) + Duration::from_millis(10);
    assert!(p99_with <= most, "p99 {p99_with:?} with the purge, {p99_without:?} without");
}

fn signal(child: &Child, signal: &str) {
    // It may have ended by now.
    let _ = Command::new("kill").args([signal, &child.id().to_string()]).stderr(Stdio::null()).status();
}

fn p99(durations: &mut [Duration]) -> Duration {
    durations.sort_unstable();
    durations[durations.len() * 99 / 100]
}

/// Creates as many live contacts as expired ones. Half of the expired ones have operations.
async fn fill(database: &TestDatabase, size: i64) -> (Uuid, Vec<Uuid>) {
    let world = World::new(database.pool.clone());
    let requester = world.customer(None).await;
    let mut customers = Vec::new();
    for _ in 0..CUSTOMERS {
        customers.push(world.customer(Some(requester)).await);
    }
    let expired = "
        insert into contact (id, customer_id, email, mobile, remarks, deleted_at, deleted_by)
        select gen_random_uuid(), ($1::uuid[])[1 + i % cardinality($1)], 'a@b', '1', repeat('x', 100),
          case when i % 2 = 0 then now() - interval '91 days' end, null
        from generate_series(1, 2 * $2) as i";
    sqlx::query(expired).bind(&customers).bind(size).execute(&database.pool).await.unwrap();
    let recorded = "
        insert into operation (
          id, requester_id, customer_id, resource, target_ids, status, deleted_rows, created_at, completed_at
        )
        select gen_random_uuid(), $1, $1, 'contact', array_agg(id order by id), 'SUCCESS', count(*),
          now() - interval '91 days', now() - interval '91 days'
        from (
          select id, row_number() over () / 10 as part
          from contact
          where deleted_at is not null and customer_id = any($2)
          limit $3 / 2
        ) as deleted
        group by part";
    sqlx::query(recorded).bind(requester).bind(&customers).bind(size).execute(&database.pool).await.unwrap();
    sqlx::raw_sql("vacuum analyze").execute(&database.pool).await.unwrap();
    sqlx::raw_sql("checkpoint").execute(&database.pool).await.unwrap();
    (requester, customers)
}

/// Sends deletions at a constant rate, whether or not the previous ones are answered.
struct Caller {
    client: Client,
    urls: tokio::sync::Mutex<Vec<String>>,
    requester: Uuid,
}

impl Caller {
    async fn new(process: &Process, requester: Uuid, customers: Vec<Uuid>, pool: &TestPool) -> Caller {
        let live = "select customer_id, id from contact where deleted_at is null and customer_id = any($1)";
        let live: Vec<(Uuid, Uuid)> = sqlx::query_as(live).bind(customers).fetch_all(pool).await.unwrap();
        let url =
            |(customer, contact)| format!("http://{}/api/v2/customer/{customer}/contact/{contact}", process.address);
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        Caller { client, urls: tokio::sync::Mutex::new(live.into_iter().map(url).collect()), requester }
    }

    /// The duration of each call from the time when it was due.
    async fn call_for(&self, duration: Duration, durations: &mut Vec<Duration>) {
        let began = tokio::time::Instant::now();
        let mut calls = Vec::new();
        let mut due = began;
        while due < began + duration {
            tokio::time::sleep_until(due).await;
            let url = self.urls.lock().await.pop().expect("there are contacts left");
            let call = self.client.delete(url).header("X-Requester-Id", self.requester.to_string());
            calls.push(tokio::spawn(async move {
                let status = call.send().await.expect("the service answers").status();
                assert_eq!(status.as_u16(), 200);
                due.elapsed()
            }));
            due += Duration::from_secs(1) / RATE;
        }
        for call in calls {
            durations.push(call.await.unwrap());
        }
    }
}
