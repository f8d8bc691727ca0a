//! The service under test, one verb for each endpoint.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use customer_deletion::config::{DatabaseSettings, Settings};
use customer_deletion::resource::Resource;
use customer_deletion::server::Server;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, oneshot};
use uuid::Uuid;

use super::database::as_service;
use super::resources::{contract, word};
use super::world::Family;
use super::{TestDatabase, TestPool, World, body, client, log, pause};

/// A service on ports of its own, with a database and a small world of its own.
pub struct TestService {
    pub world: World,
    pub address: SocketAddr,
    pub management_address: SocketAddr,
    client: Client,
    /// Kept, because dropping the last one stops the server. `None` if the service is a process.
    _running: Option<Arc<Running>>,
    // Dropped after the service.
    pub database: Arc<TestDatabase>,
}

/// A server in a thread of its own. Stops when the last test that uses it drops it.
struct Running {
    address: SocketAddr,
    management_address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    // Dropped last, because the service needs the database.
    database: Arc<TestDatabase>,
}

impl TestService {
    pub async fn start() -> TestService {
        TestService::start_with(|_| {}).await
    }

    /// Starts with changes to the settings of the tests.
    pub async fn start_with(change: impl FnOnce(&mut Settings)) -> TestService {
        let database = TestDatabase::migrated().await;
        TestService::start_on(database, change).await
    }

    /// The service logs in as its own role if the settings name the administrator.
    pub async fn start_on(database: TestDatabase, change: impl FnOnce(&mut Settings)) -> TestService {
        TestService::start_at(Arc::new(database), change).await
    }

    /// Another replica.
    pub async fn beside(other: &TestService, change: impl FnOnce(&mut Settings)) -> TestService {
        TestService::start_at(Arc::clone(&other.database), change).await
    }

    /// The service that other tests use at the same time, with a family of customers for each.
    ///
    /// A test may share it if it changes no setting, no schema and no row of other customers, and reads no metric.
    pub async fn shared() -> TestService {
        TestService::shared_with("default", |_| {}).await
    }

    /// A service with other settings on the database of [`TestService::shared`].
    pub async fn beside_shared(change: impl FnOnce(&mut Settings)) -> TestService {
        TestService::beside(&TestService::shared().await, change).await
    }

    /// The same for tests that need other settings: one service for each name.
    pub async fn shared_with(name: &str, change: impl FnOnce(&mut Settings)) -> TestService {
        static SHARED: Mutex<BTreeMap<String, Weak<Running>>> = Mutex::const_new(BTreeMap::new());
        let mut shared = SHARED.lock().await;
        let running = match shared.get(name).and_then(Weak::upgrade) {
            Some(running) => running,
            None => Arc::new(Running::start(Arc::new(TestDatabase::migrated().await), change)),
        };
        shared.insert(name.to_owned(), Arc::downgrade(&running));
        drop(shared);
        let database = Arc::new(running.database.borrowed());
        TestService::of(running, database)
    }

    async fn start_at(database: Arc<TestDatabase>, change: impl FnOnce(&mut Settings)) -> TestService {
        let running = Running::start(Arc::clone(&database), change);
        TestService::of(Arc::new(running), database)
    }

    fn of(running: Arc<Running>, database: Arc<TestDatabase>) -> TestService {
        let addresses = (running.address, running.management_address);
        TestService { _running: Some(running), ..TestService::at(addresses, database) }
    }

    /// A service that runs elsewhere.
    pub fn at((address, management_address): (SocketAddr, SocketAddr), database: Arc<TestDatabase>) -> TestService {
        let pool = database.pool.clone();
        let world = if database.is_borrowed() { World::among_others(pool) } else { World::new(pool) };
        TestService { world, address, management_address, client: client(), _running: None, database }
    }

    /// A call that names its requester as the gateway does.
    pub fn call(&self, method: Method, path: &str, requester: Uuid) -> RequestBuilder {
        self.anonymous(method, path).header("X-Requester-Id", requester.to_string())
    }

    /// A call without a requester.
    pub fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    /// `DELETE …/{customerId}/<word>/{id}`
    pub async fn delete_one(&self, requester: Uuid, customer: Uuid, resource: Resource, id: Uuid) -> Answer {
        let path = format!("{}/{id}", collection(customer, resource));
        send(self.call(Method::DELETE, &path, requester)).await
    }

    /// `DELETE …/{customerId}/<word>` with a list.
    pub async fn delete_list(&self, requester: Uuid, customer: Uuid, resource: Resource, ids: &[Uuid]) -> Answer {
        send(self.list_call(requester, customer, resource, ids)).await
    }

    pub fn list_call(&self, requester: Uuid, customer: Uuid, resource: Resource, ids: &[Uuid]) -> RequestBuilder {
        self.call(Method::DELETE, &collection(customer, resource), requester).body(body(ids))
    }

    /// `POST …/{customerId}/<word>:batchDelete`
    pub async fn batch_delete(&self, requester: Uuid, customer: Uuid, resource: Resource, ids: &[Uuid]) -> Answer {
        let path = format!("{}:batchDelete", collection(customer, resource));
        send(self.call(Method::POST, &path, requester).body(body(ids))).await
    }

    /// A deletion by a list, or by the URL if the resource takes no list.
    pub fn deletion(&self, requester: Uuid, customer: Uuid, resource: Resource, ids: &[Uuid]) -> RequestBuilder {
        match (contract(resource).takes_list, ids) {
            (false, [id]) => self.call(Method::DELETE, &format!("{}/{id}", collection(customer, resource)), requester),
            (true | false, _) => self.list_call(requester, customer, resource, ids),
        }
    }

    pub async fn delete(&self, requester: Uuid, customer: Uuid, resource: Resource, ids: &[Uuid]) -> Answer {
        send(self.deletion(requester, customer, resource, ids)).await
    }

    /// `GET /api/v2/global/call/{requestId}`
    pub async fn status(&self, requester: Uuid, request_id: Uuid) -> Answer {
        send(self.call(Method::GET, &format!("/api/v2/global/call/{request_id}"), requester)).await
    }

    /// `GET /api/v3/global/call/{requestId}`
    pub async fn details(&self, requester: Uuid, request_id: Uuid) -> Answer {
        send(self.call(Method::GET, &format!("/api/v3/global/call/{request_id}"), requester)).await
    }

    /// `POST /api/v3/global/call/{requestId}:cancel`
    pub async fn cancel(&self, requester: Uuid, request_id: Uuid) -> Answer {
        send(self.call(Method::POST, &format!("/api/v3/global/call/{request_id}:cancel"), requester)).await
    }

    /// Waits until the service is ready. On a busy machine a check may end at its time limit.
    pub async fn until_ready(&self) {
        self.until_readiness(|ready| ready.status == 200).await;
    }

    /// Waits until the service is not ready for a reason with this text. Asserts that it is not ready meanwhile.
    pub async fn until_not_ready(&self, reason: &str) -> Answer {
        let is_reason = |ready: &Answer| {
            assert_eq!(ready.status, 503, "{reason}: {}", ready.text);
            ready.text.contains(reason)
        };
        self.until_readiness(is_reason).await
    }

    async fn until_readiness(&self, is_awaited: impl Fn(&Answer) -> bool) -> Answer {
        let began = Instant::now();
        loop {
            let ready = self.management("/health/ready").await;
            if is_awaited(&ready) {
                return ready;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{}", ready.text);
            pause(began).await;
        }
    }

    /// A path of the management port.
    pub async fn management(&self, path: &str) -> Answer {
        send(self.client.get(format!("http://{}{path}", self.management_address))).await
    }
}

impl Running {
    fn start(database: Arc<TestDatabase>, change: impl FnOnce(&mut Settings)) -> Running {
        log::watch();
        let url = Some(SecretString::from(database.url.clone()));
        let mut settings = Settings { database: DatabaseSettings { url, ..patient() }, ..Settings::default() };
        settings.http.host = "127.0.0.1".parse().unwrap();
        settings.http.port = 0;
        settings.http.drain_seconds = 5;
        settings.management.host = settings.http.host;
        settings.management.port = 0;
        // Tests of accepted operations set a worker. The others need no session for one.
        settings.queue.workers = 0;
        settings.requester.source = Some("header".to_owned());
        settings.requester.header.trusted_peers = "127.0.0.0/8".to_owned();
        change(&mut settings);
        let url = settings.database.url.as_ref().expect("the service has a database").expose_secret();
        settings.database.url = Some(SecretString::from(as_service(url)));

        let server = Server::bind(settings).expect("the service starts");
        let (address, management_address) = (server.address(), server.management_address());
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(server.run(async { drop(stopped.await) })).expect("the service stops in order");
        });
        Running { address, management_address, stop: Some(stop), thread: Some(thread), database }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.expect("the service stops in order");
                log::assert_clean();
            }
        }
    }
}

/// Waits that are long enough for a busy machine. Tests of the waits themselves use the defaults.
pub fn patient() -> DatabaseSettings {
    DatabaseSettings { deadline: Duration::from_secs(11), ..DatabaseSettings::default() }
}

/// Sets the default waits.
pub fn impatient(settings: &mut Settings) {
    let url = settings.database.url.take();
    settings.database = DatabaseSettings { url, ..DatabaseSettings::default() };
}

/// Ends the sessions of all services, and waits until they have ended. One that ends later could fail the next call.
pub async fn end_sessions(pool: &TestPool) {
    let end = "select pg_terminate_backend(pid, 20000) from pg_stat_activity
        where datname = current_database() and application_name = 'customer-deletion'";
    sqlx::raw_sql(end).execute(pool).await.unwrap();
}

/// Sends a deletion of a contact whose row is locked, and resets the connection once the call waits for the lock.
pub async fn hang_up_while_waiting(address: SocketAddr, family: Family, contact: Uuid, pool: &TestPool) {
    let client = send_deletion(address, family, contact).await;
    until_somebody_waits(pool).await;
    hang_up(client).await;
}

/// Waits until a backend of the database waits for a lock.
pub async fn until_somebody_waits(pool: &TestPool) {
    until_so_many_wait(pool, 1).await;
}

/// Waits until this many backends of the database wait for a lock.
pub async fn until_so_many_wait(pool: &TestPool, count: i64) {
    let began = Instant::now();
    loop {
        let waiting = waiting_for_locks(pool).await;
        if waiting >= count {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{waiting} wait for a lock, and not {count}");
        pause(began).await;
    }
}

/// The backends of the database that wait for a lock.
pub async fn waiting_for_locks(pool: &TestPool) -> i64 {
    let sql = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

/// Resets the connection, and leaves the service a moment to notice.
pub async fn hang_up(client: TcpStream) {
    client.set_zero_linger().unwrap();
    drop(client);
    tokio::time::sleep(Duration::from_millis(200)).await;
}

/// Sends a deletion of a contact, and waits for no answer.
pub async fn send_deletion(address: SocketAddr, family: Family, contact: Uuid) -> TcpStream {
    let mut client = TcpStream::connect(address).await.unwrap();
    let text = body(&[contact]);
    let request = format!(
        "DELETE {} HTTP/1.1\r\nHost: test\r\nX-Requester-Id: {}\r\nContent-Length: {}\r\n\r\n{text}",
        collection(family.sub_customer, Resource::Contact),
        family.requester,
        text.len()
    );
    client.write_all(request.as_bytes()).await.unwrap();
    client
}

/// The same call with this at the end of its query.
pub fn with_query(call: RequestBuilder, query: &str) -> RequestBuilder {
    let (client, request) = call.build_split();
    let mut request = request.expect("the call can be sent");
    let whole = request.url().query().map_or(query.to_owned(), |there| format!("{there}&{query}"));
    request.url_mut().set_query(Some(&whole));
    RequestBuilder::from_parts(client, request)
}

/// The same call, only validated.
pub fn validating(call: RequestBuilder) -> RequestBuilder {
    with_query(call, "validateOnly=true")
}

pub fn collection(customer: Uuid, resource: Resource) -> String {
    format!("/api/v2/customer/{customer}/{}", word(resource))
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

const TURNS_UNTIL_CLOSED: usize = 4;

pub async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("the service answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    // One requester's answer must not reach another through a cache.
    if response.url().path().starts_with("/api") {
        assert_eq!(headers.get("Cache-Control").map(|value| value.as_bytes()), Some(&b"no-store"[..]), "{headers:?}");
    }
    let answer = Answer { status, headers, text: response.text().await.expect("the answer comes whole") };
    // Another task closes the connection later. A service that ends while a connection is open takes a second.
    for _ in 0..TURNS_UNTIL_CLOSED {
        tokio::task::yield_now().await;
    }
    answer
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The `Request-Id` header.
    pub fn request_id(&self) -> Uuid {
        self.header("Request-Id").expect("every answer has a Request-Id").parse().expect("the Request-Id is a UUID")
    }

    /// Status, body and headers, without the time and the call's own id. For comparing two answers.
    pub fn but_for_its_id(&self) -> (u16, String, BTreeMap<&str, &str>) {
        let mut headers: BTreeMap<&str, &str> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        headers.remove("date");
        let mut text = self.text.clone();
        if !headers.contains_key("idempotency-replayed") {
            let id = headers.remove("request-id").expect("every answer has a Request-Id");
            text = text.replace(id, "its own");
        }
        (self.status, text, headers)
    }

    /// Asserts the documented success, to the letter. Returns its requestId.
    #[track_caller]
    pub fn assert_deleted(&self) -> Uuid {
        assert_eq!(self.status, 200, "{}", self.text);
        let id = self.request_id();
        let expected = format!(
            r#"{{"errorCode":"","errorMessage":"","content":[{{"requestId":"{id}"}}],"pageable":{{"page":0,"size":10,"totalPages":1,"totalElements":1}}}}"#
        );
        assert_eq!(self.text, expected);
        id
    }

    /// Asserts the documented failure, to the letter. Returns its requestId.
    #[track_caller]
    pub fn assert_failed(&self, status: u16, code: &str, message: &str) -> Uuid {
        let expected = serde_json::to_string(message).unwrap();
        let expected = format!(r#"{{"errorCode":"{code}","errorMessage":{expected},"content":"","pageable":""}}"#);
        assert_eq!((self.status, self.text.as_str()), (status, expected.as_str()));
        self.request_id()
    }

    #[track_caller]
    pub fn assert_status(&self, status: u16) {
        assert_eq!(self.status, status, "{}", self.text);
    }

    /// Asserts an envelope with this code. Its message must contain the text.
    #[track_caller]
    pub fn assert_malformed(&self, status: u16, code: &str, part_of_message: &str) {
        let json = self.json();
        assert_eq!((self.status, json["errorCode"].as_str()), (status, Some(code)), "{}", self.text);
        let message = json["errorMessage"].as_str().unwrap();
        assert!(message.contains(part_of_message), "{message}");
        assert_eq!((json["content"].as_str(), json["pageable"].as_str()), (Some(""), Some("")));
        self.request_id();
    }
}
