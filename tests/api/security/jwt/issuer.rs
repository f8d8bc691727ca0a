//! An issuer that publishes keys, and counts how often they are fetched.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::token::{SigningKey, jwks};

/// The behaviour of the issuer.
#[derive(Clone, Debug)]
pub enum Manner {
    /// 200 with this body.
    Answer(String),
    /// The same, after a delay.
    Late(String),
    /// A status with this body.
    Status(&'static str, String),
    /// A redirect to another issuer.
    Redirect(SocketAddr),
    /// Accepts the request, and never answers.
    Hang,
}

/// Stops with the runtime of its test.
pub struct Issuer {
    pub address: SocketAddr,
    /// Its keys, and its configuration (OpenID Connect Discovery).
    pages: Arc<[Page; 2]>,
    serving: Option<JoinHandle<()>>,
}

struct Page {
    fetches: AtomicUsize,
    manner: Mutex<Manner>,
}

impl Page {
    fn new(body: String) -> Page {
        Page { fetches: AtomicUsize::new(0), manner: Mutex::new(Manner::Answer(body)) }
    }
}

impl Issuer {
    pub async fn with(keys: &[&SigningKey]) -> Issuer {
        let mut issuer = Issuer::stopped().await;
        issuer.publish(keys);
        issuer.start().await;
        issuer
    }

    /// An issuer that has an address, and does not listen there.
    pub async fn stopped() -> Issuer {
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let configuration = configuration(&name(address), &format!("{}/jwks.json", name(address)));
        let pages = Arc::new([Page::new(String::new()), Page::new(configuration)]);
        Issuer { address, pages, serving: None }
    }

    pub async fn start(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        let pages = Arc::clone(&self.pages);
        self.serving = Some(tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(answer(client, Arc::clone(&pages)));
            }
        }));
    }

    /// Refuses connections from now on.
    pub async fn stop(&mut self) {
        let serving = self.serving.take().expect("the issuer serves");
        serving.abort();
        let _ = serving.await;
    }

    pub fn publish(&self, keys: &[&SigningKey]) {
        self.set(Manner::Answer(jwks(keys)));
    }

    pub fn set(&self, manner: Manner) {
        *self.pages[0].manner.lock().unwrap() = manner;
    }

    /// Sets the answer for its configuration from now on.
    pub fn set_configuration(&self, manner: Manner) {
        *self.pages[1].manner.lock().unwrap() = manner;
    }

    /// The number of times that its keys were fetched.
    pub fn fetches(&self) -> usize {
        self.pages[0].fetches.load(Ordering::SeqCst)
    }

    /// The number of times that its configuration was fetched.
    pub fn configuration_fetches(&self) -> usize {
        self.pages[1].fetches.load(Ordering::SeqCst)
    }

    /// The value of `iss`.
    pub fn name(&self) -> String {
        name(self.address)
    }

    pub fn url(&self) -> String {
        format!("{}/jwks.json", self.name())
    }
}

fn name(address: SocketAddr) -> String {
    format!("http://{address}")
}

pub fn configuration(issuer: &str, jwks_uri: &str) -> String {
    json!({"issuer": issuer, "jwks_uri": jwks_uri, "subject_types_supported": ["public"]}).to_string()
}

async fn answer(mut client: TcpStream, pages: Arc<[Page; 2]>) {
    let mut question = [0; 4096];
    let Ok(length) = client.read(&mut question).await else { return };
    let is_configuration = question[..length].starts_with(b"GET /.well-known/openid-configuration ");
    let page = &pages[usize::from(is_configuration)];
    let manner = page.manner.lock().unwrap().clone();
    page.fetches.fetch_add(1, Ordering::SeqCst);
    let text = match manner {
        Manner::Answer(body) => with_body("200 OK", &body),
        Manner::Late(body) => {
            tokio::time::sleep(Duration::from_millis(300)).await;
            with_body("200 OK", &body)
        }
        Manner::Status(status, body) => with_body(status, &body),
        Manner::Redirect(to) => with_body(&format!("302 Found\r\nLocation: http://{to}/"), ""),
        Manner::Hang => std::future::pending().await,
    };
    let _ = client.write_all(text.as_bytes()).await;
    let _ = client.shutdown().await;
}

fn with_body(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}
