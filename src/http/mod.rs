//! What callers see: URLs, bodies, identity, the envelope, health. Knows actix, and no SQL.

mod admission;
mod answer;
mod connection;
mod cors;
mod delete;
mod docs;
mod envelope;
pub mod framing;
mod health;
pub mod host;
mod listing;
pub mod openapi;
mod operations;
mod report;
mod request;
mod requester;
mod span;

use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, Resource as Route, Scope, guard};

use crate::config::{AllowedHosts, AllowedOrigins};
use crate::error::{Code, Error};
use crate::repository::Repository;
use crate::resource::Resource;
use crate::telemetry::metrics;

pub use self::admission::{Admission, Capacity, FORGET_INTERVAL};
pub use self::answer::answer;
pub use self::connection::{Connections, WATCH_INTERVAL};
pub use self::docs::Document;
pub use self::health::Health;
pub use self::report::answer_and_report;
pub use self::request::Limits;
pub use self::requester::Identification;

/// Where everything asks for identity.
const API: &str = "/api";

/// What the handlers of the service work with.
#[derive(Clone)]
pub struct Service {
    pub repository: Repository,
    pub identification: Identification,
    pub admission: Admission,
    pub limits: Limits,
    /// `None` if calls may name any host.
    pub allowed_hosts: Option<AllowedHosts>,
    pub document: Document,
    pub allowed_origins: AllowedOrigins,
}

/// The routes of the service's own port.
pub fn service(service: Service) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        let api = web::scope(API)
            .wrap(from_fn(admission::admit))
            .wrap(from_fn(requester::identify))
            // A browser sends a preflight without identity.
            .wrap(cors::middleware(&service.allowed_origins, &service.identification))
            // The last one is the first to see a call.
            .wrap(from_fn(cors::explain_refusal))
            .default_service(web::to(no_such_route));
        let with_route = |api: Scope<_>, (path, methods, handler)| api.service(api_route(path, methods).route(handler));
        let api = api_routes().into_iter().fold(api, with_route);
        config
            .app_data(web::Data::new(service))
            .service(api)
            .service(route("/openapi.json", GET).route(get().to(docs::document)))
            .service(route("/docs", GET).route(get().to(docs::page)))
            .service(route("/docs/{file:.*}", GET).route(get().to(docs::file)))
            .default_service(web::to(no_such_route));
    }
}

/// The routes inside `/api`: path, methods and handler. The OpenAPI document describes all of them.
fn api_routes() -> [(&'static str, &'static str, actix_web::Route); 6] {
    [
        (delete::BATCH_DELETE, "POST", web::post().to(delete::batch_delete)),
        (delete::DELETE_ONE, "DELETE", web::delete().to(delete::delete_one)),
        (delete::DELETE_LIST, "DELETE", web::delete().to(delete::delete_list)),
        (operations::STATUS, GET, get().to(operations::status)),
        (operations::DETAILS, GET, get().to(operations::details)),
        (listing::LIST, GET, get().to(listing::list)),
    ]
}

/// The routes of the management port, which is never behind the gateway.
pub fn management(health: web::Data<Health>) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        config
            .app_data(health)
            .service(route("/health/live", GET).route(get().to(health::live)))
            .service(route("/health/ready", GET).route(get().to(health::ready)))
            .service(route("/metrics", GET).route(get().to(metrics_page)))
            .default_service(web::to(no_such_route));
    }
}

/// `GET /metrics`, in Prometheus's text format.
async fn metrics_page(health: web::Data<Health>) -> HttpResponse {
    health.count_connections();
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(metrics::page())
}

/// The part of a route that stands for one of the five words.
fn resource_pattern() -> String {
    format!("{{resource:{}}}", Resource::ALL.map(Resource::word).join("|"))
}

/// What a route has that answers `GET`.
const GET: &str = "GET, HEAD";

/// `GET`, and `HEAD`, whose answer the library sends without its body.
fn get() -> actix_web::Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// A route inside `/api`, whose `{resource}` is one of the five words. One slash at the end of its path
/// changes nothing. No path is normalized otherwise: a gateway could read it differently.
fn api_route(path: &str, method: &'static str) -> Route {
    let path = path.strip_prefix(API).unwrap_or(path).replace("{resource}", &resource_pattern());
    // Logs and metrics name the route by the first pattern.
    with_405(web::resource([path.clone(), format!("{path}/")]), method)
}

fn route(path: &str, method: &'static str) -> Route {
    with_405(web::resource(path), method)
}

/// A route that answers every method but the one it has with 405.
fn with_405(route: Route, method: &'static str) -> Route {
    route.default_service(web::to(move || async move {
        let error = Error::Malformed(Code::METHOD_NOT_ALLOWED, Code::METHOD_NOT_ALLOWED.message().to_owned());
        let mut response = HttpResponse::from_error(error);
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(method));
        response
    }))
}

async fn no_such_route() -> Result<HttpResponse, Error> {
    Err(Error::Malformed(Code::NOT_FOUND, Code::NOT_FOUND.message().to_owned()))
}
