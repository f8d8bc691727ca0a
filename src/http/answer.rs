//! The headers of every answer: its `Request-Id`, and what caches and browsers may do with it.

use std::future::{Ready, ready};

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse};
use uuid::Uuid;

use crate::error::Error;

pub const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// The id of a call. For a deletion it becomes the operation's.
#[derive(Clone, Copy)]
pub struct RequestId(pub Uuid);

impl FromRequest for RequestId {
    type Error = Error;
    type Future = Ready<Result<RequestId, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = request.extensions().get::<RequestId>().copied();
        ready(id.ok_or_else(|| Error::Defect("a call without an id".to_owned())))
    }
}

/// Gives the call its id, and completes the headers of the answer.
pub async fn answer(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let id = RequestId(Uuid::now_v7());
    answer_as(id, request, next).await
}

/// The same, with an id that is known beforehand.
pub async fn answer_as(
    id: RequestId,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    request.extensions_mut().insert(id);
    let mut response = next.call(request).await?;
    complete(response.headers_mut(), id);
    Ok(response)
}

/// A `Request-Id` that is there names a recorded operation, and stays. Without a `Cache-Control`, an
/// answer is for one requester at one moment, so no cache may store it.
fn complete(headers: &mut HeaderMap, id: RequestId) {
    if !headers.contains_key(REQUEST_ID) {
        headers.insert(REQUEST_ID, header_value(id.0));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    // A message may quote what the caller sent. A browser must not take it for a page.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// The answer of a middleware that does not let a call through. It keeps its error, for the log and the metrics, which
/// `ServiceRequest::into_response` forgets.
pub fn refuse<B>(request: ServiceRequest, response: HttpResponse) -> ServiceResponse<EitherBody<B>> {
    let (request, _) = request.into_parts();
    ServiceResponse::new(request, response).map_into_right_body()
}

pub fn header_value(id: Uuid) -> HeaderValue {
    HeaderValue::from_str(&id.to_string()).expect("a UUID is a header value")
}
