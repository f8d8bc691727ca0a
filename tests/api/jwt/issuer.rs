//! An issuer that publishes keys, and counts how often it is asked.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::token::{SigningKey, jwks};

/// What the issuer does when it is asked.
#[derive(Clone, Debug)]
pub enum Manner {
    /// 200 with this body.
    Answer(String),
    /// The same, after a while.
    Late(String),
    /// A status with this body.
    Status(&'static str, String),
    /// To another issuer.
    Redirect(SocketAddr),
    /// Takes the question, and never answers.
    Hang,
}

/// Ends with the runtime of its test.
pub struct Issuer {
    pub address: SocketAddr,
    fetches: Arc<AtomicUsize>,
    manner: Arc<Mutex<Manner>>,
    serving: Option<JoinHandle<()>>,
}

impl Issuer {
    pub async fn with(keys: &[&SigningKey]) -> Issuer {
        let mut issuer = Issuer::stopped().await;
        issuer.publish(keys);
        issuer.start().await;
        issuer
    }

    /// One that has an address, and does not listen there.
    pub async fn stopped() -> Issuer {
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let manner = Arc::new(Mutex::new(Manner::Answer(String::new())));
        Issuer { address, fetches: Arc::default(), manner, serving: None }
    }

    pub async fn start(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        let (fetches, manner) = (Arc::clone(&self.fetches), Arc::clone(&self.manner));
        self.serving = Some(tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let manner = manner.lock().unwrap().clone();
                fetches.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(answer(client, manner));
            }
        }));
    }

    /// From now on connections are refused.
    pub async fn stop(&mut self) {
        let serving = self.serving.take().expect("the issuer serves");
        serving.abort();
        let _ = serving.await;
    }

    pub fn publish(&self, keys: &[&SigningKey]) {
        self.set(Manner::Answer(jwks(keys)));
    }

    pub fn set(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    /// How often it was asked.
    pub fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    pub fn url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }
}

async fn answer(mut client: TcpStream, manner: Manner) {
    let mut question = [0; 4096];
    if client.read(&mut question).await.is_err() {
        return;
    }
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
