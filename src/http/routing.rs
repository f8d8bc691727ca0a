//! Builds the routes: their methods, the pattern of `{resource}`, and the answer if no route
//! matches.

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, Resource as RouteOfPath, Route, guard, web};

use crate::error::{Code, Error};
use crate::resource::Resource;

/// The path below which every route asks for identity.
pub const API: &str = "/api";

/// The methods of a route that answers `GET`.
pub const GET: &str = "GET, HEAD";

/// Answers `GET`, and `HEAD`, whose response actix sends without its body.
pub fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// A route below `/api`. One slash at the end of its path changes nothing. No path is normalized
/// otherwise: a gateway could read it differently.
pub fn api_route(path: &str, methods: &'static str) -> RouteOfPath {
    let path = path.strip_prefix(API).unwrap_or(path).replace("{resource}", &resource_pattern());
    // Logs and metrics name the route by the first pattern.
    with_405(web::resource([path.clone(), format!("{path}/")]), methods)
}

pub fn route(path: &str, methods: &'static str) -> RouteOfPath {
    with_405(web::resource(path), methods)
}

pub fn resource_pattern() -> String {
    format!("{{resource:{}}}", Resource::ALL.map(Resource::word).join("|"))
}

/// Answers every other method with 405.
fn with_405(route: RouteOfPath, methods: &'static str) -> RouteOfPath {
    route.default_service(web::to(move || async move {
        let error = Error::Malformed(Code::METHOD_NOT_ALLOWED, Code::METHOD_NOT_ALLOWED.message().to_owned());
        let mut response = HttpResponse::from_error(error);
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
        response
    }))
}

pub async fn no_such_route() -> Result<HttpResponse, Error> {
    Err(Error::Malformed(Code::NOT_FOUND, Code::NOT_FOUND.message().to_owned()))
}
