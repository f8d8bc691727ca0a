//! Runs the two listeners. Before they stop, calls and operations in flight may end.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::dev;
use actix_web::web::Data;
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
use sqlx::postgres::PgConnectOptions;
use tokio_util::task::AbortOnDropHandle;

use crate::config::{AllowedHosts, AllowedOrigins, Settings, SettingsError};
use crate::http::connections::{self, Connections, HEAD_TIMEOUT, WATCH_INTERVAL, Waits};
use crate::http::{self, Admission, Capacity, Document, FORGET_INTERVAL, Health, Identification, Limits, Service};
use crate::limits::{self, Budget, MANAGEMENT_CONNECTIONS, Memory, RECEIVE_BUFFER, SEND_BUFFER};
use crate::queue::{Consumer, Workers};
use crate::repository::{RETRIED, Repository};
use crate::telemetry::metrics::{self, Port, UPKEEP_INTERVAL};

/// The longest time that a connection of the management port may be idle.
const MANAGEMENT_KEEP_ALIVE: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
}

/// A service that listens. It serves once [`Server::run`] is called.
pub struct Server {
    settings: Settings,
    database: PgConnectOptions,
    identification: Identification,
    allowed_hosts: Option<AllowedHosts>,
    allowed_origins: AllowedOrigins,
    max_connections: usize,
    memory: Memory,
    calls: TcpListener,
    management: TcpListener,
}

impl Server {
    /// Binds the two ports. Port 0 binds a free one; [`Server::address`] returns it.
    pub fn bind(settings: Settings) -> Result<Server, StartError> {
        let database = settings.database.connect_options()?;
        let (source, allowed_hosts) = (settings.requester.source()?, settings.http.allowed_hosts()?);
        http::host::warn_of_rebinding(&source, allowed_hosts.as_ref());
        let identification = Identification::new(source)?;
        let allowed_origins = settings.allowed_origins()?;
        let (max_connections, memory) = limits::fit(&settings)?;
        let calls = listen(SocketAddr::new(settings.http.host, settings.http.port))?;
        let management = listen(SocketAddr::new(settings.management.host, settings.management.port))?;
        Ok(Server {
            settings,
            database,
            identification,
            allowed_hosts,
            allowed_origins,
            max_connections,
            memory,
            calls,
            management,
        })
    }

    /// The listener for calls.
    pub fn address(&self) -> SocketAddr {
        local_address(&self.calls)
    }

    /// The management listener: health checks and metrics.
    pub fn management_address(&self) -> SocketAddr {
        local_address(&self.management)
    }

    /// Serves until `stop` completes, then waits for the calls in flight.
    pub async fn run(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        tracing::info!(
            address = %self.address(),
            management = %self.management_address(),
            version = env!("CARGO_PKG_VERSION"),
            "listening"
        );
        let repository = Repository::new(&self.settings.database, &self.settings.queue, self.database.clone())
            .limited(self.settings.requester.deleted_rows_per_hour);
        let consumer = Consumer::new(repository.clone(), &self.settings.queue, &self.settings.database, self.database);
        metrics::start(&RETRIED);
        let admission = Admission::new(capacity(&self.settings, self.max_connections, self.memory));
        let connections = Connections::new(Port::Calls, self.max_connections);
        let heads = Budget::new(self.memory.heads);
        let management_connections = Connections::new(Port::Management, MANAGEMENT_CONNECTIONS);
        let limits = Limits::from(&self.settings);
        let service = Service {
            repository: repository.clone(),
            identification: self.identification.clone(),
            admission: admission.clone(),
            limits,
            allowed_hosts: self.allowed_hosts,
            document: Document::new(&self.identification, limits),
            allowed_origins: self.allowed_origins,
        };
        let health = Data::new(Health::new(repository.clone(), self.identification.clone()));
        // Both tasks are aborted when this function ends.
        let upkeep = Upkeep {
            admission,
            connections: connections.clone(),
            management_connections: management_connections.clone(),
            health: health.clone(),
            repository: repository.clone(),
        };
        let _upkeep = AbortOnDropHandle::new(tokio::spawn(upkeep.run(self.settings.http.keep_alive)));
        let _refreshing = AbortOnDropHandle::new(tokio::spawn(self.identification.keep_fresh()));
        let drain_seconds = self.settings.http.drain_seconds;

        let management = serve_management(self.management, management_connections, heads.clone(), health.clone())?;
        let calls = serve_calls(service, connections, heads, self.calls, &self.settings)?;
        let (management_handle, calls_handle) = (management.handle(), calls.handle());
        let management = tokio::spawn(management);
        let calls = tokio::spawn(calls);

        let workers = Workers::start(self.settings.queue.workers, consumer);

        stop.await;
        tracing::info!(drain_seconds, "shutting down: waiting for calls in flight");
        health.start_draining();
        repository.stop_waiting();
        // Operations and calls drain side by side, each within `drain_seconds`.
        let operations = tokio::spawn(workers.end(Duration::from_secs(drain_seconds)));
        calls_handle.stop(true).await;
        calls.await??;
        operations.await?;
        management_handle.stop(true).await;
        management.await??;
        repository.close().await;
        tracing::info!("stopped");
        Ok(())
    }
}

/// Accepted connections inherit the sizes of the listener's buffers.
fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    let listen = || {
        let listener = TcpListener::bind(address)?;
        set_socket_recv_buffer_size(&listener, RECEIVE_BUFFER)?;
        set_socket_send_buffer_size(&listener, SEND_BUFFER)?;
        Ok(listener)
    };
    listen().map_err(|error| StartError::Listen(address, error))
}

fn local_address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("a bound listener has an address")
}

fn capacity(settings: &Settings, max_connections: usize, memory: Memory) -> Capacity {
    let rate = settings.requester.rate_per_second;
    let burst = settings.requester.rate_burst.or(rate);
    let max_in_flight = settings.http.max_in_flight;
    let max_waiting_calls = limits::max_waiting_calls(max_in_flight, max_connections);
    Capacity { max_in_flight, memory, max_waiting_calls, rate: rate.zip(burst) }
}

/// The periodic work.
struct Upkeep {
    admission: Admission,
    connections: Connections,
    management_connections: Connections,
    health: Data<Health>,
    repository: Repository,
}

impl Upkeep {
    /// Runs until its task is aborted.
    async fn run(self, keep_alive: Duration) {
        // A slow database must not delay `watch_callers`.
        tokio::join!(self.watch_callers(keep_alive), self.watch_database());
    }

    async fn watch_callers(&self, keep_alive: Duration) {
        let mut requesters = tokio::time::interval(FORGET_INTERVAL);
        let mut connections = tokio::time::interval(WATCH_INTERVAL);
        loop {
            tokio::select! {
                _ = requesters.tick() => self.admission.forget_idle_requesters(),
                _ = connections.tick() => {
                    self.connections.close_idle(keep_alive + HEAD_TIMEOUT);
                    self.management_connections.close_idle(MANAGEMENT_KEEP_ALIVE + HEAD_TIMEOUT);
                }
            }
        }
    }

    async fn watch_database(&self) {
        let mut interval = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            interval.tick().await;
            metrics::upkeep();
            let _ = self.health.state().await;
            // During an outage the metrics keep their last values.
            let _ = self.repository.measure_backlog().await;
        }
    }
}

fn serve_calls(
    service: Service,
    connections: Connections,
    heads: Budget,
    listener: TcpListener,
    settings: &Settings,
) -> io::Result<dev::Server> {
    let waits = Waits { keep_alive: settings.http.keep_alive, drain_seconds: settings.http.drain_seconds };
    connections::serve(listener, connections, heads, waits, move || http::app(service.clone()))
}

fn serve_management(
    listener: TcpListener,
    connections: Connections,
    heads: Budget,
    health: Data<Health>,
) -> io::Result<dev::Server> {
    let waits = Waits { keep_alive: MANAGEMENT_KEEP_ALIVE, drain_seconds: 1 };
    connections::serve(listener, connections, heads, waits, move || http::management_app(health.clone()))
}
