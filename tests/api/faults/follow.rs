//! Asks for the status of the calls whose clients did not wait.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::Value;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// The pause before the status is asked for again.
const PAUSE: Duration = Duration::from_millis(50);

/// The longest time from the last fault and the last call until an operation has ended.
const PATIENCE: Duration = Duration::from_secs(60);

/// The outcome of an operation, and the time when it was seen.
#[derive(Clone, Debug)]
pub struct End {
    pub status: String,
    pub code: String,
    pub accepted: Instant,
    pub seen: Instant,
}

/// The second task of a client. It asks for the status of one operation after the other, in the order of their acceptance.
pub struct Follower {
    accepted: UnboundedSender<(Uuid, Instant)>,
    following: JoinHandle<Vec<(Uuid, End)>>,
}

impl Follower {
    pub fn start(http: Client, address: Arc<Mutex<SocketAddr>>, requester: Uuid) -> Follower {
        let (accepted, operations) = mpsc::unbounded_channel();
        let asking = Asking { http, address, requester };
        Follower { accepted, following: tokio::spawn(asking.follow(operations)) }
    }

    pub fn follow(&self, operation: Uuid) {
        self.accepted.send((operation, Instant::now())).expect("the follower works to its end");
    }

    /// Waits until each operation has ended.
    pub async fn end(self) -> Vec<(Uuid, End)> {
        drop(self.accepted);
        self.following.await.expect("every operation ends")
    }
}

struct Asking {
    http: Client,
    address: Arc<Mutex<SocketAddr>>,
    requester: Uuid,
}

impl Asking {
    async fn follow(self, mut operations: UnboundedReceiver<(Uuid, Instant)>) -> Vec<(Uuid, End)> {
        let mut ends = Vec::new();
        while let Some((operation, accepted)) = operations.recv().await {
            let (status, code) = self.until_ended(operation, &operations).await;
            ends.push((operation, End { status, code, accepted, seen: Instant::now() }));
        }
        ends
    }

    /// During a fault there is no limit. Afterwards there is one.
    async fn until_ended(&self, operation: Uuid, others: &UnboundedReceiver<(Uuid, Instant)>) -> (String, String) {
        let mut mended = None;
        loop {
            let asked = self.ask(operation).await.unwrap_or(None);
            if let Some((status, code)) = asked.filter(|(status, _)| status != "OPEN") {
                return (status, code);
            }
            if others.is_closed() {
                let waited = mended.get_or_insert_with(Instant::now).elapsed();
                assert!(waited < PATIENCE, "operation {operation} is open a minute after the end of the load");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Status and code. `None` if the service cannot answer at the moment. An accepted operation is never unknown.
    async fn ask(&self, operation: Uuid) -> Result<Option<(String, String)>, reqwest::Error> {
        let address = *self.address.lock().unwrap();
        let call = self.http.get(format!("http://{address}/api/v3/global/call/{operation}"));
        let answer = call.header("X-Requester-Id", self.requester.to_string()).send().await?;
        let http_status = answer.status().as_u16();
        let text = answer.text().await?;
        assert!(http_status == 200 || http_status == 503, "the status of what was accepted is {http_status} {text}");
        if http_status == 503 {
            return Ok(None);
        }
        let json: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let word = |name: &str| json["content"][0][name].as_str().expect("a status has it").to_owned();
        Ok(Some((word("status"), word("errorCode"))))
    }
}
