//! Clients that delete contacts, one call after the other, while something else happens.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use sqlx::PgPool;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::support::service::{collection, send};
use crate::support::world::Family;
use crate::support::{body, client};

/// Clients at work until they are stopped.
pub struct Load {
    clients: Vec<JoinHandle<Report>>,
    stop: Arc<AtomicBool>,
}

/// How it went.
#[derive(Debug, Default)]
pub struct Report {
    pub calls: usize,
    /// The answers that were no success.
    pub failures: Vec<String>,
    pub longest: Duration,
}

impl Load {
    /// Each client sends its calls to one of the addresses.
    pub fn start(addresses: &[SocketAddr], pool: &PgPool, family: Family, clients: usize) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let work = |number: usize| {
            let client = Client { address: addresses[number % addresses.len()], pool: pool.clone(), family };
            tokio::spawn(client.work(Arc::clone(&stop)))
        };
        Load { clients: (0..clients).map(work).collect(), stop }
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
        assert!(self.calls > 50, "{} calls are no load", self.calls);
    }

    #[track_caller]
    pub fn assert_no_stall(&self) {
        assert!(self.longest < Duration::from_secs(2), "a call took {:?}", self.longest);
    }
}

struct Client {
    address: SocketAddr,
    pool: PgPool,
    family: Family,
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
            let began = Instant::now();
            let answer = send(call).await;
            report.longest = report.longest.max(began.elapsed());
            report.calls += 1;
            if answer.status != 200 {
                report.failures.push(format!("{} after {:?}: {}", answer.status, began.elapsed(), answer.text));
            }
        }
        report
    }

    /// New ones, as another service creates them.
    async fn contacts(&self) -> Vec<Uuid> {
        let sql = "insert into contact (id, customer_id, email, mobile)
            select gen_random_uuid(), $1, 'a@example.com', '+49' from generate_series(1, 5)
            returning id";
        sqlx::query_scalar(sql).bind(self.family.sub_customer).fetch_all(&self.pool).await.unwrap()
    }
}
