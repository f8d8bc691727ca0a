//! Clients that delete contacts, one call after the other with a pause between, while the test does something else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::support::service::{collection, send};
use crate::support::world::Family;
use crate::support::{StallWatch, TestPool, body, client};

/// Much shorter than any stall that a test looks for.
const PAUSE: Duration = Duration::from_millis(50);

/// Clients at work until they are stopped.
pub struct Load {
    clients: Vec<JoinHandle<Report>>,
    answers: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

/// The results of a load.
#[derive(Debug, Default)]
pub struct Report {
    pub calls: usize,
    /// The answers that were not successes.
    pub failures: Vec<String>,
    /// The longest call, without stalls of the machine.
    pub longest: Duration,
}

impl Load {
    /// Each client sends its calls to one of the addresses.
    pub fn start(addresses: &[SocketAddr], pool: &TestPool, family: Family, clients: usize) -> Load {
        let (answers, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let work = |number: usize| {
            let address = addresses[number % addresses.len()];
            let client = Client { address, pool: pool.clone(), family, answers: Arc::clone(&answers) };
            tokio::spawn(client.work(Arc::clone(&stop)))
        };
        Load { clients: (0..clients).map(work).collect(), answers, stop }
    }

    /// Waits until this many more calls are answered, however busy the machine is.
    pub async fn until_answered(&self, more: usize) {
        let (began, enough) = (Instant::now(), self.answers.load(Ordering::Relaxed) + more);
        while self.answers.load(Ordering::Relaxed) < enough {
            assert!(began.elapsed() < Duration::from_secs(60), "{more} calls take longer than a minute");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn stop(self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        let mut report = Report::default();
        for client in self.clients {
            let part = client.await.unwrap();
            report.calls += part.calls;
            report.failures.extend(part.failures);
            report.longest = report.longest.max(part.longest);
        }
        println!("{} calls, {} failures, the longest {:?}", report.calls, report.failures.len(), report.longest);
        report
    }
}

impl Report {
    #[track_caller]
    pub fn assert_no_failure(&self) {
        assert_eq!(self.failures, Vec::<String>::new());
    }

    #[track_caller]
    pub fn assert_no_stall(&self) {
        assert!(self.longest < Duration::from_secs(2), "a call took {:?}", self.longest);
    }
}

struct Client {
    address: SocketAddr,
    pool: TestPool,
    family: Family,
    answers: Arc<AtomicUsize>,
}

impl Client {
    async fn work(self, stop: Arc<AtomicBool>) -> Report {
        let mut report = Report::default();
        while !stop.load(Ordering::Relaxed) {
            let contacts = self.contacts().await;
            let path = collection(self.family.sub_customer, Resource::Contact);
            let call = client()
                .delete(format!("http://{}{path}", self.address))
                .header("X-Requester-Id", self.family.requester.to_string())
                .body(body(&contacts));
            let (began, watch) = (Instant::now(), StallWatch::start());
            let answer = send(call).await;
            report.longest = report.longest.max(watch.took_between_stalls());
            report.calls += 1;
            self.answers.fetch_add(1, Ordering::Relaxed);
            if answer.status != 200 {
                report.failures.push(format!("{} after {:?}: {}", answer.status, began.elapsed(), answer.text));
            }
            tokio::time::sleep(PAUSE).await;
        }
        report
    }

    /// New contacts, as another service creates them.
    async fn contacts(&self) -> Vec<Uuid> {
        let sql = "insert into contact (id, customer_id, email, mobile)
            select gen_random_uuid(), $1, 'a@example.com', '+49' from generate_series(1, 5)
            returning id";
        sqlx::query_scalar(sql).bind(self.family.sub_customer).fetch_all(&self.pool).await.unwrap()
    }
}
