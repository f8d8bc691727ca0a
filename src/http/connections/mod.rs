//! Accepts connections, and hands their requests to an application one at a time.

mod gate;
mod head;
mod stream;

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use actix_http::{HttpService, Protocol};
use actix_service::{IntoServiceFactory, ServiceFactoryExt, apply_fn_factory, map_config};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Extensions, Server, Service, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::rt::net::TcpStream;
use actix_web::{App, Error};

pub use self::gate::{AnswerBody, Answering, Gate};
use self::stream::Stream;

/// The longest time in which the head of a request may arrive.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// For a client to close a connection whose body was not read.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The waits of a port, and its largest number of connections.
#[derive(Clone, Copy)]
pub struct Port {
    pub keep_alive: Duration,
    pub drain_seconds: u64,
    pub max_connections: usize,
}

/// Serves an application on a listener. One thread serves thousands of calls a second. More threads mostly wake each other.
pub fn serve<T, B>(
    listener: TcpListener,
    port: Port,
    app: impl Fn() -> App<T> + Clone + Send + 'static,
    on_connect: impl Fn(&TcpStream, &mut Extensions) + Clone + Send + 'static,
) -> io::Result<Server>
where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<B>,
            Error = Error,
            InitError = (),
        > + 'static,
    B: MessageBody + 'static,
{
    let server = Server::build()
        .disable_signals()
        .workers(1)
        .shutdown_timeout(port.drain_seconds)
        .max_concurrent_connections(port.max_connections);
    let draining = server.graceful_shutdown_signal();
    let server = server.listen("connections", listener, move || {
        let (draining, on_connect) = (draining.clone(), on_connect.clone());
        let app = app().into_factory().map_err(|error: Error| error.error_response());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let draining = draining.clone();
                async move { draining.notified().await }
            })
            .keep_alive(port.keep_alive)
            .client_request_timeout(HEAD_TIMEOUT)
            .client_disconnect_timeout(CLOSE_TIMEOUT)
            .on_connect_ext(move |stream: &Stream, data| {
                data.insert(std::rc::Rc::clone(stream.gate()));
                on_connect(stream.tcp(), data);
            })
            .finish(map_config(app, |()| AppConfig::default()));
        apply_fn_factory(http, |stream: TcpStream, http: &_| {
            let peer = stream.peer_addr().ok();
            http.call((Stream::new(stream), Protocol::Http1, peer))
        })
    })?;
    Ok(server.run())
}
