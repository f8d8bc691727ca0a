//! Calls from web pages on other origins (CORS). The settings list the allowed origins.

use actix_cors::{Cors, CorsError};
use actix_web::HttpResponse;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderName};
use actix_web::middleware::{Condition, Next};

use super::report::GATEWAY_REQUEST_ID;
use super::request::{idempotency_key, prefer};
use super::requester::Identification;
use super::response::REQUEST_ID;
use crate::config::AllowedOrigins;
use crate::error::Error;
use crate::telemetry::traces::{TRACE_PARENT, TRACE_STATE};

/// The time for which a browser may cache a preflight.
const MAX_AGE_SECONDS: usize = 600;

/// Answers preflights, and lets pages of the allowed origins read the answers to their calls.
/// Cookies are not allowed, because no call is authenticated by one.
pub fn middleware(origins: &AllowedOrigins, identification: &Identification) -> Condition<Cors> {
    let cors = Cors::default()
        .allowed_methods([Method::GET, Method::HEAD, Method::POST, Method::DELETE])
        .allowed_headers([header::CONTENT_TYPE, idempotency_key::KEY, prefer::PREFER])
        .allowed_headers([TRACE_PARENT, TRACE_STATE].map(HeaderName::from_static))
        .allowed_header(GATEWAY_REQUEST_ID)
        .allowed_header(identity_header(identification))
        .expose_headers([REQUEST_ID, header::LOCATION, header::RETRY_AFTER, header::WWW_AUTHENTICATE])
        .expose_headers([idempotency_key::REPLAYED, prefer::PREFERENCE_APPLIED])
        .max_age(MAX_AGE_SECONDS);
    match origins {
        AllowedOrigins::None => Condition::new(false, cors),
        AllowedOrigins::Any => Condition::new(true, cors.allow_any_origin().send_wildcard()),
        AllowedOrigins::Listed(origins) => {
            Condition::new(true, origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin)))
        }
    }
}

fn identity_header(identification: &Identification) -> HeaderName {
    match identification {
        Identification::Header(source) => source.name.clone(),
        Identification::Jwt(_) => header::AUTHORIZATION,
    }
}

/// Gives a refused preflight the envelope. actix-cors answers it in plain text.
pub async fn explain_refusal(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, actix_web::Error> {
    let response = next.call(request).await?;
    let refusal = response.response().error().and_then(|error| error.as_error::<CorsError>());
    let Some(refusal) = refusal else { return Ok(response.map_into_left_body()) };
    let error = Error::bad_request(format!("the preflight is rejected: {refusal}"));
    let (request, _) = response.into_parts();
    Ok(ServiceResponse::new(request, HttpResponse::from_error(error)).map_into_right_body())
}
