//! Runs the two listeners. At shutdown, it waits for the calls and operations in flight.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::web::Data;
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
use sqlx::postgres::PgConnectOptions;
use tokio_util::task::AbortOnDropHandle;

use crate::config::{AllowedHosts, AllowedOrigins, Settings, SettingsError};
use crate::http::connections::{self, Connections, WATCH_INTERVAL, memory_for_heads};
use crate::http::{self, Admission, CallLimits, Document, FORGET_INTERVAL, Health, Identification, Service};
use crate::limits::{self, MANAGEMENT_CONNECTIONS, Memory, RECEIVE_BUFFER, SEND_BUFFER};
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
        let (database, queue) = (&self.settings.database, &self.settings.queue);
        let rows_per_hour = self.settings.requester.deleted_rows_per_hour;
        let repository = Repository::new(database, queue, rows_per_hour, self.database.clone());
        let consumer = Consumer::new(repository.clone(), queue, database, self.database);
        metrics::start(&RETRIED);
        let connections = Connections::new(Port::Calls, self.max_connections, self.settings.http.keep_alive);
        let heads = memory_for_heads(self.memory.heads);
        let management_connections = Connections::new(Port::Management, MANAGEMENT_CONNECTIONS, MANAGEMENT_KEEP_ALIVE);
        let limits = CallLimits::from(&self.settings);
        let service = Data::new(Service {
            repository: repository.clone(),
            identification: self.identification.clone(),
            admission: Admission::new(&self.settings, self.max_connections, self.memory),
            limits,
            allowed_hosts: self.allowed_hosts,
            document: Document::new(&self.identification, limits),
            allowed_origins: self.allowed_origins,
        });
        let health = Data::new(Health::new(repository.clone(), self.identification.clone()));
        // These tasks are aborted when this function ends. A slow database must not delay the watch of
        // callers.
        let both = [connections.clone(), management_connections.clone()];
        let _callers = AbortOnDropHandle::new(tokio::spawn(watch_callers(service.clone(), both)));
        let _database = AbortOnDropHandle::new(tokio::spawn(watch_database(repository.clone(), health.clone())));
        let _refreshing = AbortOnDropHandle::new(tokio::spawn(self.identification.keep_fresh()));
        let drain_seconds = self.settings.http.drain_seconds;

        let management_app = {
            let health = health.clone();
            move || http::management_app(health.clone())
        };
        let management = connections::serve(self.management, management_connections, heads.clone(), 1, management_app)?;
        let calls =
            connections::serve(self.calls, connections, heads, drain_seconds, move || http::app(service.clone()))?;
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

async fn watch_callers(service: Data<Service>, connections: [Connections; 2]) {
    let mut requesters = tokio::time::interval(FORGET_INTERVAL);
    let mut idle = tokio::time::interval(WATCH_INTERVAL);
    loop {
        tokio::select! {
            _ = requesters.tick() => service.admission.forget_idle_requesters(),
            _ = idle.tick() => connections.iter().for_each(Connections::close_idle),
        }
    }
}

async fn watch_database(repository: Repository, health: Data<Health>) {
    let mut interval = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        interval.tick().await;
        metrics::upkeep();
        let _ = health.state().await;
        // During an outage the metrics keep their last values.
        let _ = repository.measure_backlog().await;
    }
}
