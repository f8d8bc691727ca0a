//! A network between the service and its database, that breaks when it is told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// What the network does, for connections old and new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Weather {
    /// Everything goes through.
    Fair = 0,
    /// Nothing goes through, and nobody is told.
    Frozen = 1,
    /// Connections are cut, and new ones too.
    Cut = 2,
}

/// Forwards to the database. Ends with the runtime of its test.
pub struct Proxy {
    pub address: SocketAddr,
    weather: Arc<AtomicU8>,
    /// Connections up to this one are silent for ever.
    abandoned: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
}

impl Proxy {
    /// In front of the server of a database URL.
    pub async fn in_front_of(url: &str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let weather = Arc::new(AtomicU8::new(Weather::Fair as u8));
        let target = authority(url).to_owned();
        let proxy = Proxy { address, weather, abandoned: Arc::default(), connections: Arc::default() };
        let (weather, abandoned) = (Arc::clone(&proxy.weather), Arc::clone(&proxy.abandoned));
        let connections = Arc::clone(&proxy.connections);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = connections.fetch_add(1, Ordering::SeqCst) + 1;
                let sky = Sky { weather: Arc::clone(&weather), abandoned: Arc::clone(&abandoned), number };
                tokio::spawn(forward(client, target.clone(), sky));
            }
        });
        proxy
    }

    /// The connections that are open now never carry anything again, and nobody is told. New ones do.
    pub fn abandon_connections(&self) {
        self.abandoned.store(self.connections.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// The URL of the database, through this proxy.
    pub fn url(&self, url: &str) -> String {
        url.replacen(authority(url), &self.address.to_string(), 1)
    }

    pub fn set(&self, weather: Weather) {
        self.weather.store(weather as u8, Ordering::SeqCst);
    }
}

/// `host:port` of `postgres://user:password@host:port/database`.
fn authority(url: &str) -> &str {
    let after_scheme = url.split_once("://").unwrap().1;
    let authority = after_scheme.split(['/', '?']).next().unwrap();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// What one connection sees of the weather.
#[derive(Clone)]
struct Sky {
    weather: Arc<AtomicU8>,
    abandoned: Arc<AtomicU64>,
    number: u64,
}

impl Sky {
    fn weather(&self) -> Weather {
        if self.number <= self.abandoned.load(Ordering::SeqCst) {
            return Weather::Frozen;
        }
        match self.weather.load(Ordering::SeqCst) {
            0 => Weather::Fair,
            1 => Weather::Frozen,
            _ => Weather::Cut,
        }
    }

    async fn until(&self, wanted: Weather) {
        while self.weather() != wanted {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

async fn forward(client: TcpStream, target: String, sky: Sky) {
    if sky.weather() == Weather::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else { return };
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    tokio::select! {
        () = copy(client_read, server_write, &sky) => {}
        () = copy(server_read, client_write, &sky) => {}
        () = sky.until(Weather::Cut) => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, sky: &Sky) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else { return };
        sky.until(Weather::Fair).await;
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
