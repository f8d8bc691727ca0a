//! Constant load for a long time: the use of memory, files and sessions must not grow.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Client;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::faults::audit::assert_agreement;
use crate::faults::load::{Outcome, attempt, request};
use crate::faults::work::{Stock, Work};
use crate::support::process::Process;
use crate::support::service::send;
use crate::support::{TestDatabase, TestPool, World, client};

const CLIENTS: usize = 16;
const CALIBRATION: Duration = Duration::from_secs(8);
const WINDOWS: usize = 30;

/// The highest resource use of the process and its sessions in one window.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    resident_bytes: f64,
    open_files: f64,
    sessions: i64,
}

/// The records of the clients and of the watch.
#[derive(Default)]
struct Notes {
    calls: AtomicUsize,
    unavailable: AtomicUsize,
    /// The durations of calls, by window.
    took: Mutex<BTreeMap<usize, Vec<Duration>>>,
    stop: AtomicBool,
}

struct Soak {
    http: Client,
    address: SocketAddr,
    stock: Stock,
    notes: Notes,
    began: Instant,
    window: Duration,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "constant load: takes 6 minutes, or more with SOAK_MINUTES; cargo test --test api -- --ignored soak"]
async fn under_constant_load_nothing_grows() {
    let minutes: u64 = std::env::var("SOAK_MINUTES").map_or(5, |minutes| minutes.parse().expect("a number of minutes"));
    let database = TestDatabase::migrated().await;
    let family = World::new(database.pool.clone()).family().await;
    let process = Process::serve_impatiently(&database.url);
    let window = Duration::from_secs(minutes * 60) / WINDOWS as u32;
    let most = calibrate(&database.pool, Stock::new(family), process.address).await;
    let rate = most * 0.7;

    let soak = Arc::new(Soak::new(process.address, Stock::new(family), window));
    soak.stock.top_up(&database.pool, (rate * 20.0) as usize).await;
    let clients = soak.start_clients(Duration::from_secs_f64(CLIENTS as f64 / rate));
    let (uses, longest_idle) = watch(&soak, &database.pool, &process, rate).await;
    soak.notes.stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("a client works to its end");
    }

    assert_agreement(&database.pool, &[]).await;
    let thirds = soak.report(minutes, rate, &uses, longest_idle);
    assert_flat(&soak, thirds, longest_idle);
}

/// The calls per second that a few clients complete without a pause.
async fn calibrate(pool: &TestPool, stock: Stock, address: SocketAddr) -> f64 {
    stock.top_up(pool, 20_000).await;
    let soak = Arc::new(Soak::new(address, stock, Duration::from_secs(3600)));
    let clients = soak.start_clients(Duration::ZERO);
    tokio::time::sleep(CALIBRATION).await;
    soak.notes.stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("a client works to its end");
    }
    soak.notes.calls.load(Ordering::Relaxed) as f64 / soak.began.elapsed().as_secs_f64()
}

impl Soak {
    fn new(address: SocketAddr, stock: Stock, window: Duration) -> Soak {
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(15)).build().unwrap();
        Soak { http, address, stock, notes: Notes::default(), began: Instant::now(), window }
    }

    fn start_clients(self: &Arc<Soak>, interval: Duration) -> Vec<JoinHandle<()>> {
        let clients = (0..CLIENTS).map(|_| {
            let soak = Arc::clone(self);
            tokio::spawn(async move { soak.work_on(interval).await })
        });
        clients.collect()
    }

    async fn work_on(&self, interval: Duration) {
        let mut ticks = tokio::time::interval(interval.max(Duration::from_micros(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut number: usize = 0;
        while !self.notes.stop.load(Ordering::Relaxed) {
            ticks.tick().await;
            let work = self.stock.take();
            let outcome = self.delete(&work, false).await;
            number += 1;
            if number.is_multiple_of(5) && work.key.is_some() {
                ticks.tick().await;
                assert_eq!(self.delete(&work, true).await, outcome, "a replay has another answer");
            }
            if number.is_multiple_of(4) {
                ticks.tick().await;
                self.ask_for_status(&work, &outcome).await;
            }
        }
    }

    /// A call without an outcome is sent again until it has one.
    async fn delete(&self, work: &Work, again: bool) -> Outcome {
        loop {
            let attempt = attempt(request(&self.http, self.address, work)).await;
            self.note(attempt.ended - attempt.began);
            match attempt.outcome {
                Outcome::Deleted(_) | Outcome::Refused(..) | Outcome::Accepted(_) => {
                    assert!(attempt.replayed || !again, "a second effect");
                    return attempt.outcome;
                }
                Outcome::Unexplained(_) => panic!("no fault explains {attempt:?}"),
                Outcome::Unavailable(_) | Outcome::Unanswered(_) => {
                    self.notes.unavailable.fetch_add(1, Ordering::Relaxed);
                    if work.key.is_none() {
                        return attempt.outcome;
                    }
                }
            }
        }
    }

    async fn ask_for_status(&self, work: &Work, outcome: &Outcome) {
        let (Outcome::Deleted(id) | Outcome::Refused(id, _) | Outcome::Accepted(id)) = outcome else { return };
        let began = Instant::now();
        let call = self.http.get(format!("http://{}/api/v2/global/call/{id}", self.address));
        let answer = send(call.header("X-Requester-Id", work.requester.to_string())).await;
        self.note(began.elapsed());
        if answer.status == 503 {
            self.notes.unavailable.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let status = answer.json()["content"][0]["status"].as_str().unwrap().to_owned();
        let expected = if work.unknown.is_none() { "SUCCESS" } else { "FAILURE" };
        assert!(status == expected || work.later && status == "OPEN", "{work:?} is {status}");
    }

    fn note(&self, took: Duration) {
        self.notes.calls.fetch_add(1, Ordering::Relaxed);
        self.notes.took.lock().unwrap().entry(self.number_of_window()).or_default().push(took);
    }

    fn number_of_window(&self) -> usize {
        (self.began.elapsed().as_secs_f64() / self.window.as_secs_f64()) as usize
    }

    /// Median and 99th percentile of each window.
    fn latencies(&self) -> Vec<(Duration, Duration)> {
        let took = self.notes.took.lock().unwrap();
        let windows = took.values().take(WINDOWS).map(|window| {
            let mut sorted = window.clone();
            sorted.sort_unstable();
            (sorted[sorted.len() / 2], sorted[sorted.len() * 99 / 100])
        });
        windows.collect()
    }

    /// Prints the results, and returns the second and the last third.
    fn report(&self, minutes: u64, rate: f64, uses: &[Use], longest_idle: f64) -> [Third; 2] {
        let latencies = self.latencies();
        let thirds = [1, 2].map(|third| {
            let range = third * WINDOWS / 3..(third + 1) * WINDOWS / 3;
            Third::of(&latencies[range.clone()], &uses[range])
        });
        let _ = writeln!(
            std::io::stderr(),
            "soak: {minutes} minutes  {rate:.0} calls a second  calls {}  503s {}  longest idle in transaction \
             {longest_idle:.3} s\n  second third {:?}\n  last third   {:?}",
            self.notes.calls.load(Ordering::Relaxed),
            self.notes.unavailable.load(Ordering::Relaxed),
            thirds[0],
            thirds[1],
        );
        thirds
    }
}

/// A third of the time: the medians of its windows, and the highest use in any of them.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "the median is printed")]
struct Third {
    p50: Duration,
    p99: Duration,
    most: Use,
}

impl Third {
    fn of(latencies: &[(Duration, Duration)], uses: &[Use]) -> Third {
        let median = |mut all: Vec<Duration>| {
            all.sort_unstable();
            all[all.len() / 2]
        };
        Third {
            p50: median(latencies.iter().map(|(p50, _)| *p50).collect()),
            p99: median(latencies.iter().map(|(_, p99)| *p99).collect()),
            most: uses.iter().copied().fold(Use::default(), Use::most),
        }
    }
}

impl Use {
    fn most(self, other: Use) -> Use {
        Use {
            resident_bytes: self.resident_bytes.max(other.resident_bytes),
            open_files: self.open_files.max(other.open_files),
            sessions: self.sessions.max(other.sessions),
        }
    }

    async fn now(pool: &TestPool, process: &Process) -> Use {
        let page = send(client().get(format!("http://{}/metrics", process.management_address))).await.text;
        let value = |name: &str| {
            let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("the page has no {name}")).parse().unwrap()
        };
        let sessions = "select count(*) from pg_stat_activity
            where datname = current_database() and application_name = 'customer-deletion'";
        Use {
            resident_bytes: value("process_resident_memory_bytes"),
            open_files: value("process_open_fds"),
            sessions: sqlx::query_scalar(sessions).fetch_one(pool).await.unwrap(),
        }
    }
}

/// Measures ten times a second until the last window has ended. Returns the use by window, and the longest time in seconds that
/// a transaction was idle.
async fn watch(soak: &Soak, pool: &TestPool, process: &Process, rate: f64) -> (Vec<Use>, f64) {
    let mut uses = vec![Use::default(); WINDOWS];
    let mut longest_idle: f64 = 0.0;
    let mut looks: usize = 0;
    while let Some(window) = uses.get_mut(soak.number_of_window()) {
        longest_idle = longest_idle.max(idle_in_transaction(pool).await);
        if looks.is_multiple_of(10) {
            *window = window.most(Use::now(pool, process).await);
            soak.stock.top_up(pool, (rate * 20.0) as usize).await;
            process.forget_log();
        }
        looks += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    (uses, longest_idle)
}

/// The longest time in seconds that a session of the service has been idle in a transaction.
async fn idle_in_transaction(pool: &TestPool) -> f64 {
    let sql = "select coalesce(extract(epoch from max(clock_timestamp() - state_change)), 0)::float8
        from pg_stat_activity
        where datname = current_database()
          and application_name = 'customer-deletion'
          and state like 'idle in transaction%'";
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

/// Bounds are generous, because the machine may have more other work at one time than at another.
fn assert_flat(soak: &Soak, [second, last]: [Third; 2], longest_idle: f64) {
    let (calls, unavailable) =
        (soak.notes.calls.load(Ordering::Relaxed), soak.notes.unavailable.load(Ordering::Relaxed));
    assert!(unavailable * 1000 <= calls, "{unavailable} of {calls} calls were not served");
    assert!(longest_idle < 1.0, "a transaction was idle for {longest_idle} s");
    let (before, after) = (second.most, last.most);
    assert!(after.resident_bytes <= before.resident_bytes * 1.1 + 8e6, "memory grows");
    assert!(after.open_files <= before.open_files + 8.0, "open files grow");
    // The sessions of the pool, and that of the worker.
    assert!(after.sessions <= 9, "more sessions than are set");
    let least = Duration::from_millis(30);
    assert!(last.p99 <= second.p99.max(least) * 3, "answers become slower");
}
