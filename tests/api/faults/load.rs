//! Clients that behave like careful integrators. They send a call under a key, and again after a 503 or no answer, until it has
//! an outcome. For an accepted call they ask for its status until it has ended.

use std::collections::HashMap;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::follow::{End, Follower};
use super::work::{Stock, Work};
use crate::support::resources::contract;
use crate::support::service::collection;
use crate::support::{StallWatch, body};

/// The pause of a client between two calls, and before it sends a call again. Real integrators wait longer. A short pause
/// measures more exactly when the service is back.
const PAUSE: Duration = Duration::from_millis(20);

/// The time for which a call is sent again before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// The outcome of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Deleted(Uuid),
    Refused(Uuid, String),
    /// 202: the operation is executed later.
    Accepted(Uuid),
    /// 503, with its Request-Id.
    Unavailable(Uuid),
    /// The reason why there was no answer.
    Unanswered(String),
    /// An answer that no fault explains.
    Unexplained(String),
}

#[derive(Clone, Debug)]
pub struct Attempt {
    pub began: Instant,
    pub ended: Instant,
    pub outcome: Outcome,
    pub replayed: bool,
}

impl Attempt {
    /// Whether it has a documented outcome.
    pub fn is_good(&self) -> bool {
        matches!(self.outcome, Outcome::Deleted(_) | Outcome::Refused(..) | Outcome::Accepted(_))
    }
}

/// One intended call, and every request for it.
#[derive(Clone, Debug)]
pub struct Call {
    pub client: usize,
    pub work: Work,
    pub attempts: Vec<Attempt>,
    /// The end of its operation, if it was accepted.
    pub end: Option<End>,
}

impl Call {
    pub fn last(&self) -> &Attempt {
        self.attempts.last().expect("a call is tried")
    }
}

/// The connection on which a client sends its next call.
#[derive(Clone, Copy, Debug)]
pub enum Connections {
    /// A connection that an earlier call left open, as gateways use it.
    Kept,
    /// A new connection. A service that closes idle connections may close one while a call is on its way. Clients that cannot
    /// make sure that they close first, as the documents tell gateways to, must not keep connections.
    New,
}

impl Connections {
    fn client(self) -> Client {
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(15));
        match self {
            Connections::Kept => client,
            Connections::New => client.pool_max_idle_per_host(0),
        }
        .build()
        .unwrap()
    }
}

/// Clients at work.
pub struct Load {
    pub stock: Arc<Stock>,
    address: Arc<Mutex<SocketAddr>>,
    stop: Arc<AtomicBool>,
    /// The time of each client's last good answer.
    pulses: Arc<Vec<Mutex<Instant>>>,
    clients: Vec<JoinHandle<Vec<Call>>>,
}

impl Load {
    pub fn start(clients: usize, stock: Stock, address: SocketAddr, connections: Connections) -> Load {
        let stock = Arc::new(stock);
        let address = Arc::new(Mutex::new(address));
        let stop = Arc::new(AtomicBool::new(false));
        let pulses: Arc<Vec<_>> = Arc::new((0..clients).map(|_| Mutex::new(Instant::now())).collect());
        let http = connections.client();
        let clients = (0..clients).map(|number| {
            let (stock, address) = (Arc::clone(&stock), Arc::clone(&address));
            let (stop, pulses) = (Arc::clone(&stop), Arc::clone(&pulses));
            let follower = Follower::start(http.clone(), Arc::clone(&address), stock.family.requester);
            let client = LoadClient { number, http: http.clone(), address, pulses, follower };
            tokio::spawn(client.work(stock, stop))
        });
        let clients = clients.collect();
        Load { stock, address, stop, pulses, clients }
    }

    /// The address to which the clients send their calls.
    pub fn aim(&self) -> Aim {
        Aim(Arc::clone(&self.address))
    }

    /// Waits until every client has had a good answer to a call that it began after `since`.
    pub async fn until_all_are_served(&self, since: Instant, longest: Duration) {
        let watch = StallWatch::start();
        while self.pulses.iter().any(|pulse| *pulse.lock().unwrap() <= since) {
            let ended = self.clients.iter().any(JoinHandle::is_finished);
            assert!(!ended, "a client gave up");
            assert!(watch.took() < longest, "not every client is served within {longest:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Lets every client finish its call.
    pub async fn end(self) -> Vec<Call> {
        self.stop.store(true, Ordering::Relaxed);
        let mut calls = Vec::new();
        for client in self.clients {
            calls.extend(client.await.expect("a client works to its end"));
        }
        calls
    }
}

/// The address for calls.
pub struct Aim(Arc<Mutex<SocketAddr>>);

impl Aim {
    /// Sends calls to this address from now on.
    pub fn at(&self, address: SocketAddr) {
        *self.0.lock().unwrap() = address;
    }
}

struct LoadClient {
    number: usize,
    http: Client,
    address: Arc<Mutex<SocketAddr>>,
    pulses: Arc<Vec<Mutex<Instant>>>,
    follower: Follower,
}

impl LoadClient {
    async fn work(self, stock: Arc<Stock>, stop: Arc<AtomicBool>) -> Vec<Call> {
        let mut calls = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let call = self.see_through(stock.take()).await;
            if let Outcome::Accepted(operation) = call.last().outcome {
                self.follower.follow(operation);
            }
            calls.push(call);
            tokio::time::sleep(PAUSE).await;
        }
        let mut ends: HashMap<Uuid, End> = self.follower.end().await.into_iter().collect();
        for call in &mut calls {
            if let Outcome::Accepted(operation) = call.last().outcome {
                call.end = ends.remove(&operation);
            }
        }
        calls
    }

    /// A call without a key must not be sent again.
    async fn see_through(&self, work: Work) -> Call {
        let began = Instant::now();
        let mut call = Call { client: self.number, work, attempts: Vec::new(), end: None };
        loop {
            let address = *self.address.lock().unwrap();
            let attempt = attempt(request(&self.http, address, &call.work)).await;
            let (good, ended) = (attempt.is_good(), attempt.ended);
            let unexplained = matches!(attempt.outcome, Outcome::Unexplained(_));
            call.attempts.push(attempt);
            if good {
                *self.pulses[self.number].lock().unwrap() = ended;
            }
            if good || unexplained || call.work.key.is_none() || began.elapsed() > PATIENCE {
                return call;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Builds the call. The id is in the URL if the resource takes no list.
pub fn request(http: &Client, address: SocketAddr, work: &Work) -> RequestBuilder {
    let collection = collection(work.customer, work.resource);
    let listed = work.listed();
    let request = match contract(work.resource).takes_list {
        true => http.delete(format!("http://{address}{collection}")).body(body(&listed)),
        false => http.delete(format!("http://{address}{collection}/{}", listed[0])),
    };
    let request = request.header("X-Requester-Id", work.requester.to_string());
    let request = if work.later { request.header("Prefer", "respond-async") } else { request };
    match &work.key {
        Some(key) => request.header("Idempotency-Key", key),
        None => request,
    }
}

/// Sends a deletion, and returns its outcome.
pub async fn attempt(request: RequestBuilder) -> Attempt {
    let began = Instant::now();
    let (outcome, replayed) = answer(request).await.unwrap_or_else(|error| (Outcome::Unanswered(why(&error)), false));
    Attempt { began, ended: Instant::now(), outcome, replayed }
}

/// The causes of the error. Its own text is left out, because it contains the address.
fn why(error: &reqwest::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| (*error).source());
    let sources: Vec<String> = sources.map(ToString::to_string).collect();
    if sources.is_empty() { error.to_string() } else { sources.join(": ") }
}

async fn answer(request: RequestBuilder) -> Result<(Outcome, bool), reqwest::Error> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let replayed = response.headers().contains_key("Idempotency-Replayed");
    let id = response.headers().get("Request-Id").and_then(|id| id.to_str().ok()?.parse().ok());
    let text = response.text().await?;
    let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let outcome = match (status, id, json["errorCode"].as_str()) {
        (200, Some(id), Some(_)) => Outcome::Deleted(id),
        (202, Some(id), Some(_)) => Outcome::Accepted(id),
        (404, Some(id), Some(code)) => Outcome::Refused(id, code.to_owned()),
        (503, Some(id), Some(_)) => Outcome::Unavailable(id),
        _ => Outcome::Unexplained(format!("{status} {id:?} {text}")),
    };
    Ok((outcome, replayed))
}
