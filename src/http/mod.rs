//! URLs, bodies, identity, limits, the envelope and health. Knows actix, and no SQL.
//!
//! [`connections`] accepts connections, and gives the HTTP library one request of each at a time. A
//! call meets these in this order, each of which may answer it:
//!
//! 1. [`response`] gives it a `Request-Id`, and makes its failure a [`problem`] if the caller
//!    prefers that.
//! 2. [`report`] logs, traces and counts its end.
//! 3. [`framing`] refuses a request that could be read as two.
//! 4. [`host`] refuses a host that is not in the settings.
//! 5. The router finds the route. Everything below `/api` continues:
//! 6. [`cors`] answers preflights, which have no identity.
//! 7. [`requester`] finds the requester, or answers 401. Without any key for tokens, it answers
//!    503.
//! 8. [`admission`] checks the requester's rate, or answers 429.
//! 9. [`requester`] checks the token scope, or answers 401.
//! 10. The handler: [`delete`], [`operations`], [`cancel`] or [`listing`]. It parses the
//!     [`request`], takes a permit, calls the repository, and fills in the [`envelope`].
//!
//! In the code below the order is reversed, because actix calls the last `wrap` first.

mod admission;
mod call;
mod cancel;
pub mod connections;
mod cors;
mod delete;
mod docs;
mod envelope;
mod failures;
mod framing;
mod health;
pub mod host;
mod listing;
mod negotiation;
pub mod openapi;
mod operations;
mod page_token;
mod portions;
mod problem;
mod report;
mod request;
mod requester;
mod response;
mod routing;
mod span;
mod waiting;

use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::web;
use actix_web::{App, HttpResponse, Route, Scope};

use self::connections::Connection;
use self::routing::{API, GET, api_route, get, no_such_route, route};
use crate::config::{AllowedHosts, AllowedOrigins};
use crate::repository::Repository;
use crate::telemetry::metrics;

pub use self::admission::{Admission, FORGET_INTERVAL};
pub use self::docs::Document;
pub use self::health::Health;
pub use self::request::CallLimits;
pub use self::requester::Identification;

/// The state of the handlers and the middlewares of the calls' port.
pub struct Service {
    pub repository: Repository,
    pub identification: Identification,
    pub admission: Admission,
    pub limits: CallLimits,
    /// `None` if calls may name any host.
    pub allowed_hosts: Option<AllowedHosts>,
    pub document: Document,
    pub allowed_origins: AllowedOrigins,
}

/// The application for callers.
pub fn app(
    service: web::Data<Service>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    let api = web::scope(API)
        .wrap(from_fn(admission::admit))
        .wrap(from_fn(requester::identify))
        .wrap(cors::middleware(&service.allowed_origins, &service.identification))
        .wrap(from_fn(cors::explain_refusal))
        .default_service(web::to(no_such_route));
    let with_route = |api: Scope<_>, (path, methods, handler): (_, _, Route)| {
        api.service(api_route(path, methods).route(handler.wrap(from_fn(requester::check_token_scope))))
    };
    let api = api_routes().into_iter().fold(api, with_route);
    App::new()
        .app_data(service)
        .service(api)
        .service(route("/openapi.json", GET).route(get().to(docs::document)))
        .service(route("/docs", GET).route(get().to(docs::page)))
        .service(route("/docs/{file:.*}", GET).route(get().to(docs::file)))
        .default_service(web::to(no_such_route))
        .wrap(from_fn(host::guard))
        .wrap(from_fn(framing::guard))
        .wrap(from_fn(report::report))
        .wrap(from_fn(response::complete))
}

/// The routes inside `/api`: path, methods and handler. The OpenAPI document describes all of them.
fn api_routes() -> [(&'static str, &'static str, Route); 7] {
    [
        (delete::BATCH_DELETE, "POST", web::post().to(delete::delete)),
        (delete::DELETE_ONE, "DELETE", web::delete().to(delete::delete)),
        (delete::DELETE_LIST, "DELETE", web::delete().to(delete::delete)),
        (cancel::CANCEL, "POST", web::post().to(cancel::cancel)),
        (operations::STATUS, GET, get().to(operations::status)),
        (operations::DETAILS, GET, get().to(operations::details)),
        (listing::LIST, GET, get().to(listing::list)),
    ]
}

/// The application for operators, on the management port. No gateway leads to it.
pub fn management_app(
    health: web::Data<Health>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    App::new()
        .app_data(health)
        .service(route("/health/live", GET).route(get().to(health::live)))
        .service(route("/health/ready", GET).route(get().to(health::ready)))
        .service(route("/metrics", GET).route(get().to(metrics_page)))
        .default_service(web::to(no_such_route))
        .wrap(from_fn(keep_connection))
        .wrap(from_fn(framing::guard))
        .wrap(from_fn(response::complete))
}

/// Marks the connection as working, so that it is not closed at the connection limit while the call
/// runs.
async fn keep_connection(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    if let Some(connection) = request.conn_data::<Arc<Connection>>() {
        connection.work();
    }
    next.call(request).await
}

/// `GET /metrics`, in Prometheus's text format.
async fn metrics_page(health: web::Data<Health>) -> HttpResponse {
    health.repository.count_connections();
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(metrics::page())
}
