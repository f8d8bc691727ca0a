//! A proxy between the service and its database that simulates network faults.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::TestDatabase;

/// The behaviour of the network, for open and new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Weather {
    /// Everything goes through.
    Fair = 0,
    /// Nothing goes through, and no connection is closed.
    Frozen = 1,
    /// Connections are closed, and new ones are closed at once.
    Cut = 2,
    /// Connections are closed, and new ones are refused: nobody listens.
    Away = 3,
}

/// Forwards to the database. Ends with the runtime of its test, which needs two threads if a process connects when it starts:
/// the start of a process is waited for on one of them.
pub struct Proxy {
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// `host:port`, for new connections.
    target: Mutex<String>,
    weather: AtomicU8,
    /// Whether the proxy should listen for new connections, and whether it has stopped listening.
    shut: AtomicBool,
    nobody_listens: AtomicBool,
    delay_ms: AtomicU64,
    connections: AtomicU64,
    /// Connections up to this one are silent for ever.
    abandoned: AtomicU64,
    /// Connections up to this one are reset.
    reset: AtomicU64,
    /// Notified of each change.
    changes: watch::Sender<()>,
}

impl State {
    fn change(&self, change: impl FnOnce(&State)) {
        change(self);
        self.changes.send_replace(());
    }

    async fn until(&self, is_so: impl Fn(&State) -> bool) {
        let mut changes = self.changes.subscribe();
        while !is_so(self) {
            changes.changed().await.expect("the sender is here");
        }
    }
}

impl Proxy {
    /// Creates a database, and starts a proxy in front of it. Returns the URL of the database through the proxy, too.
    pub async fn with_database() -> (TestDatabase, Proxy, String) {
        let database = TestDatabase::migrated().await;
        let proxy = Proxy::in_front_of(&database.url).await;
        let url = proxy.url(&database.url);
        (database, proxy, url)
    }

    /// Starts a proxy in front of the server of a database URL.
    pub async fn in_front_of(url: &str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { target: Mutex::new(authority(url).to_owned()), ..State::default() });
        tokio::spawn(listen(listener, address, Arc::clone(&state)));
        Proxy { address, state }
    }

    /// Silences the connections that are open now: they carry nothing any more, and are not closed. New ones work.
    pub fn abandon_connections(&self) {
        self.state.change(|state| state.abandoned.store(state.connections.load(Ordering::SeqCst), Ordering::SeqCst));
    }

    /// Resets the connections that are open now, at both ends. New ones work.
    pub fn reset_connections(&self) {
        self.state.change(|state| state.reset.store(state.connections.load(Ordering::SeqCst), Ordering::SeqCst));
    }

    /// Delays everything by this much, each way.
    pub fn slow_down(&self, delay: Duration) {
        self.state.change(|state| state.delay_ms.store(delay.as_millis() as u64, Ordering::SeqCst));
    }

    /// New connections lead to the server of another database URL. Those that are open stay where they are.
    pub fn lead_to(&self, url: &str) {
        authority(url).clone_into(&mut self.state.target.lock().unwrap());
    }

    /// The URL of the database, through this proxy.
    pub fn url(&self, url: &str) -> String {
        url.replacen(authority(url), &self.address.to_string(), 1)
    }

    pub fn set(&self, weather: Weather) {
        self.state.change(|state| {
            state.shut.store(weather == Weather::Away, Ordering::SeqCst);
            state.weather.store(weather as u8, Ordering::SeqCst);
        });
    }

    /// Like [`Weather::Away`], but connections are closed only after the proxy has stopped listening. So a client that connects
    /// again at once is refused, and not accepted and then closed.
    pub async fn go_away(&self) {
        self.state.change(|state| state.shut.store(true, Ordering::SeqCst));
        self.state.until(|state| state.nobody_listens.load(Ordering::SeqCst)).await;
        self.set(Weather::Away);
    }
}

/// `host:port` of `postgres://user:password@host:port/database`.
fn authority(url: &str) -> &str {
    let after_scheme = url.split_once("://").unwrap().1;
    let authority = after_scheme.split(['/', '?']).next().unwrap();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

async fn listen(mut listener: TcpListener, address: SocketAddr, state: Arc<State>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = state.until(|state| state.shut.load(Ordering::SeqCst)) => {
                drop(listener);
                state.change(|state| state.nobody_listens.store(true, Ordering::SeqCst));
                state.until(|state| !state.shut.load(Ordering::SeqCst)).await;
                listener = TcpListener::bind(address).await.expect("nobody else took the port");
                state.nobody_listens.store(false, Ordering::SeqCst);
                continue;
            }
        };
        let Ok((client, _)) = accepted else { return };
        let number = state.connections.fetch_add(1, Ordering::SeqCst) + 1;
        tokio::spawn(forward(client, Sky { state: Arc::clone(&state), number }));
    }
}

/// The state of the network for one connection.
struct Sky {
    state: Arc<State>,
    number: u64,
}

impl Sky {
    fn weather(&self) -> Weather {
        if self.number <= self.state.abandoned.load(Ordering::SeqCst) {
            return Weather::Frozen;
        }
        match self.state.weather.load(Ordering::SeqCst) {
            0 => Weather::Fair,
            1 => Weather::Frozen,
            2 => Weather::Cut,
            _ => Weather::Away,
        }
    }

    async fn until_cut(&self) {
        self.state.until(|_| matches!(self.weather(), Weather::Cut | Weather::Away)).await;
    }

    async fn until_reset(&self) {
        self.state.until(|state| self.number <= state.reset.load(Ordering::SeqCst)).await;
    }

    /// Waits for the present delay. If the delay ends, data on the way arrive at once.
    async fn until_carried(&self) {
        let sent = Instant::now();
        let delay = || Duration::from_millis(self.state.delay_ms.load(Ordering::SeqCst));
        let mut changes = self.state.changes.subscribe();
        while sent.elapsed() < delay() {
            let _ = timeout_at(sent + delay(), changes.changed()).await;
        }
    }
}

async fn forward(mut client: TcpStream, sky: Sky) {
    if matches!(sky.weather(), Weather::Cut | Weather::Away) {
        return;
    }
    let target = sky.state.target.lock().unwrap().clone();
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    let (client_read, client_write) = client.split();
    let (server_read, server_write) = server.split();
    let was_reset = tokio::select! {
        () = copy(client_read, server_write, &sky) => false,
        () = copy(server_read, client_write, &sky) => false,
        () = sky.until_cut() => false,
        () = sky.until_reset() => true,
    };
    if was_reset {
        // With a linger time of 0, closing sends a reset.
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, sky: &Sky) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else { return };
        sky.until_carried().await;
        sky.state.until(|_| sky.weather() == Weather::Fair).await;
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
