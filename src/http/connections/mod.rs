//! Accepts connections, and hands their requests to an application one at a time.

mod gate;
mod head;
mod open;
mod stream;

use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::{HttpService, Protocol};
use actix_service::{IntoServiceFactory, ServiceFactoryExt, apply_fn_factory, map_config};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Server, Service, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::rt::net::TcpStream;
use actix_web::{App, Error};
use futures_util::future::Abortable;
use tokio::sync::Semaphore;

pub use self::gate::{Answering, Gate, memory_for_heads};
pub use self::open::{Connection, Connections, WATCH_INTERVAL};
use self::stream::Stream;

/// The longest time in which the head of a request may arrive.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// The time for a client to close a connection whose body was not read.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The number of connections above the limit that are accepted, each until another one is closed.
const ACCEPTED_BEFORE: usize = 16;

/// The HTTP library flushes its copy of an answer once the copy has this many bytes. Its buffer
/// never shrinks.
const SENT_AT_ONCE: usize = 8 * 1024;

/// The longest piece of an answer that the HTTP library copies.
pub const ANSWER_PIECE: usize = 8 * 1024;

/// The threads that parse large bodies.
const PARSERS: usize = 4;

/// Serves an application on a listener. One thread serves thousands of calls a second. More threads
/// mostly wake each other.
pub fn serve<T, B>(
    listener: TcpListener,
    connections: Connections,
    heads: Arc<Semaphore>,
    drain_seconds: u64,
    app: impl Fn() -> App<T> + Clone + Send + 'static,
) -> io::Result<Server>
where
    T: ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse<B>, Error = Error, InitError = ()>
        + 'static,
    B: MessageBody + 'static,
{
    let server = Server::build()
        .disable_signals()
        .workers(1)
        .worker_max_blocking_threads(PARSERS)
        .shutdown_timeout(drain_seconds)
        .max_concurrent_connections(connections.limit + ACCEPTED_BEFORE);
    let draining = server.graceful_shutdown_signal();
    let server = server.listen("connections", listener, move || {
        let (draining, connections, heads) = (draining.clone(), connections.clone(), heads.clone());
        let app = app().into_factory().map_err(|error: Error| error.error_response());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let draining = draining.clone();
                async move { draining.notified().await }
            })
            .keep_alive(connections.keep_alive)
            .client_request_timeout(HEAD_TIMEOUT)
            .client_disconnect_timeout(CLOSE_TIMEOUT)
            .h1_write_buffer_size(SENT_AT_ONCE)
            .on_connect_ext(move |stream: &Stream, data| {
                data.insert(Rc::clone(&stream.gate));
                data.insert(Arc::clone(&stream.opened.connection));
            })
            .finish(map_config(app, |()| AppConfig::default()));
        apply_fn_factory(http, move |stream: TcpStream, http: &_| {
            let peer = stream.peer_addr().ok();
            let serving = connections.open(peer.map(|peer| peer.ip())).map(|(opened, closing)| {
                let stream = Stream::new(stream, Rc::new(Gate::new(heads.clone())), opened);
                Abortable::new(http.call((stream, Protocol::Http1, peer)), closing)
            });
            async move {
                match serving {
                    Some(serving) => serving.await.unwrap_or(Ok(())),
                    None => Ok(()),
                }
            }
        })
    })?;
    Ok(server.run())
}
