//! A connection breaks between a commit and its answer. The service finds the recorded operation, and executes nothing twice.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use customer_deletion::config::Settings;
use customer_deletion::resource::Resource;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use crate::support::resources::{contract, every_resource};
use crate::support::service::{Answer, collection, send};
use crate::support::world::Family;
use crate::support::{TestDatabase, TestService};

/// The answer of PostgreSQL when a deletion has ended, or the record of a refusal.
pub const DELETION: &[u8] = b"SELECT 1\0";
pub const RECORD: &[u8] = b"INSERT 0 1\0";
/// The answer if the rows of a requester are counted, or in an attempt at an accepted operation.
const COMMIT: &[u8] = b"COMMIT\0";

/// The message that the server is ready for another statement. So the last one is committed.
const READY: &[u8] = b"Z\0\0\0\x05I";

/// A proxy in front of the database. It loses the next answers of a kind together with their connections.
pub struct Thief {
    address: SocketAddr,
    pub to_lose: Arc<AtomicI64>,
    /// If there is an id, only answers to statements that contain it are lost, because the service also sends statements by
    /// itself.
    pub about: Arc<Mutex<Option<Uuid>>>,
}

impl Thief {
    /// Returns the proxy, and the URL of the database through it.
    pub async fn before(url: &str, kind: &'static [u8]) -> (Thief, String) {
        let (before, rest) = url.split_once('@').unwrap();
        let (authority, rest) = rest.split_once('/').unwrap();
        let thief = Thief::in_front_of(authority.to_owned(), kind).await;
        let url = format!("{before}@{}/{rest}", thief.address);
        (thief, url)
    }

    async fn in_front_of(server: String, kind: &'static [u8]) -> Thief {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let thief = Thief { address: listener.local_addr().unwrap(), to_lose: Arc::default(), about: Arc::default() };
        let (to_lose, about) = (Arc::clone(&thief.to_lose), Arc::clone(&thief.about));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, server.clone(), kind, Arc::clone(&to_lose), Arc::clone(&about)));
            }
        });
        thief
    }
}

async fn forward(
    mut client: TcpStream,
    server: String,
    kind: &'static [u8],
    to_lose: Arc<AtomicI64>,
    about: Arc<Mutex<Option<Uuid>>>,
) {
    let mut wanted = false;
    let mut server = TcpStream::connect(server).await.unwrap();
    let (mut asked, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            length = client.read(&mut asked) => {
                let Ok(length @ 1..) = length else { return };
                let about = *about.lock().unwrap();
                wanted = about.is_none_or(|id| asked[..length].windows(16).any(|part| part == id.as_bytes()));
                server.write_all(&asked[..length]).await.unwrap();
            }
            length = server.read(&mut answered) => {
                let Ok(length @ 1..) = length else { return };
                if wanted && is_committed(&answered[..length], kind) && to_lose.fetch_sub(1, Ordering::SeqCst) > 0 {
                    return;
                }
                if client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn is_committed(answer: &[u8], kind: &[u8]) -> bool {
    answer.ends_with(READY) && answer.windows(kind.len()).any(|window| window == kind)
}

pub async fn service_behind_a_thief(kind: &'static [u8]) -> (TestService, Thief, Family) {
    service_with(kind, |_| {}).await
}

async fn service_with(kind: &'static [u8], change: impl FnOnce(&mut Settings)) -> (TestService, Thief, Family) {
    let database = TestDatabase::migrated().await;
    let (thief, url) = Thief::before(&database.url, kind).await;
    let service = TestService::start_on(database, |settings| {
        settings.database.url = Some(SecretString::from(url));
        change(settings);
    })
    .await;
    let family = service.world.family().await;
    // Now the service has verified the schema.
    assert_eq!(service.status(family.requester, Uuid::now_v7()).await.status, 404);
    (service, thief, family)
}

async fn delete(service: &TestService, family: Family, resource: Resource, id: Uuid, key: Option<&str>) -> Answer {
    let path = format!("{}/{id}", collection(family.in_scope(resource), resource));
    let call = service.call(reqwest::Method::DELETE, &path, family.requester);
    send(key.into_iter().fold(call, |call, key| call.header("Idempotency-Key", key))).await
}

pub async fn recorded(service: &TestService) -> Vec<(Uuid, String)> {
    sqlx::query_as("select id, status from operation order by created_at")
        .fetch_all(&service.database.pool)
        .await
        .unwrap()
}

pub async fn assert_rows_and_operations_agree(service: &TestService) {
    crate::support::audit::assert_agreement(&service.database.pool).await;
}

/// A call without a key is found by the id of its operation.
pub const KEYS: [Option<&str>; 2] = [None, Some("k")];

#[tokio::test]
async fn a_deletion_whose_answer_is_lost_is_one_operation() {
    let (service, thief, _) = service_behind_a_thief(DELETION).await;
    let mut expected = Vec::new();
    for resource in every_resource() {
        let family = service.world.family().await;
        for key in KEYS {
            let row = service.world.row(resource, family.in_scope(resource)).await;
            thief.to_lose.store(1, Ordering::SeqCst);
            let answer = delete(&service, family, resource, row, key).await;

            expected.push((answer.assert_deleted(), "SUCCESS".to_owned()));
            assert_eq!(answer.header("Idempotency-Replayed"), None);
            assert!(thief.to_lose.load(Ordering::SeqCst) < 1, "no answer was lost");
            assert_eq!(recorded(&service).await, expected);
        }
    }
    assert_rows_and_operations_agree(&service).await;
}

#[tokio::test]
async fn a_refusal_whose_answer_is_lost_is_one_operation() {
    let (service, thief, _) = service_behind_a_thief(RECORD).await;
    let mut expected = Vec::new();
    for resource in every_resource() {
        let code = contract(resource).unknown.0;
        let family = service.world.family().await;
        for key in KEYS {
            thief.to_lose.store(1, Ordering::SeqCst);
            let answer = delete(&service, family, resource, Uuid::now_v7(), key).await;

            assert_eq!((answer.status, answer.json()["errorCode"].as_str()), (404, Some(code)));
            assert_eq!(answer.header("Idempotency-Replayed"), None);
            assert_eq!(thief.to_lose.load(Ordering::SeqCst), 0, "no answer was lost");
            expected.push((answer.request_id(), "FAILURE".to_owned()));
            assert_eq!(recorded(&service).await, expected);
        }
    }
    assert_rows_and_operations_agree(&service).await;
}

/// The caller gets a 503, and finds the outcome under its key.
#[tokio::test]
async fn a_deletion_whose_every_answer_is_lost_is_found_under_its_key() {
    let (service, thief, family) = service_behind_a_thief(DELETION).await;
    let contact = service.world.contact(family.sub_customer).await;

    *thief.about.lock().unwrap() = Some(contact);
    thief.to_lose.store(3, Ordering::SeqCst);
    let first = delete(&service, family, Resource::Contact, contact, Some("k")).await;
    first.assert_failed(503, "GLOBAL_1001", "Service unavailable. Please try again");
    let second = delete(&service, family, Resource::Contact, contact, Some("k")).await;

    assert_eq!(second.assert_deleted(), first.request_id());
    assert_eq!(second.header("Idempotency-Replayed"), Some("true"));
    assert_eq!(recorded(&service).await, [(first.request_id(), "SUCCESS".to_owned())]);
    assert_rows_and_operations_agree(&service).await;
}

/// The second try finds that the first has used up the limit.
#[tokio::test]
async fn a_call_that_reaches_the_limit_of_rows_is_not_rejected_because_of_itself() {
    let limit = |settings: &mut Settings| settings.requester.deleted_rows_per_hour = NonZeroU32::new(1);
    let (service, thief, family) = service_with(COMMIT, limit).await;
    let zone = service.world.zone(family.requester).await;
    thief.to_lose.store(1, Ordering::SeqCst);
    let deleted = delete(&service, family, Resource::Zone, zone, None).await.assert_deleted();
    assert_eq!(thief.to_lose.load(Ordering::SeqCst), 0);
    assert_eq!(recorded(&service).await, [(deleted, "SUCCESS".to_owned())]);

    let other = service.world.family().await;
    let zone = service.world.zone(other.requester).await;
    thief.to_lose.store(1, Ordering::SeqCst);
    let call = service.deletion(other.requester, other.requester, Resource::Zone, &[zone]);
    let accepted = send(call.header("Prefer", "respond-async")).await;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    assert!(thief.to_lose.load(Ordering::SeqCst) <= 0, "no answer was lost");
    assert_eq!(recorded(&service).await.len(), 2);
}
