//! The headers of every response: its `Request-Id`, and what caches and browsers may do with it.

use std::rc::Rc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpResponse};
use uuid::Uuid;

use super::call::RequestId;
use super::connections::{AnswerBody, Answering, Gate};

pub const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// Gives the call its id, and completes the headers of the response. The connection's next call comes after its body.
pub async fn complete(
    request: ServiceRequest,
    next: Next<impl MessageBody + Unpin>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let id = RequestId(Uuid::now_v7());
    request.extensions_mut().insert(id);
    let answering = Answering(request.conn_data::<Rc<Gate>>().cloned());
    let mut response = next.call(request).await?;
    complete_headers(response.headers_mut(), id);
    Ok(response.map_body(|_, body| AnswerBody { body, _answering: answering }))
}

/// Keeps a `Request-Id` that a handler has set: it names a recorded operation.
fn complete_headers(headers: &mut HeaderMap, id: RequestId) {
    if !headers.contains_key(REQUEST_ID) {
        headers.insert(REQUEST_ID, id_value(id.0));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    // A message may quote what the caller sent. A browser must not take it for a page.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// The response of a middleware that stops a call. It keeps the error for the log and the metrics, which
/// `ServiceRequest::into_response` does not.
pub fn refuse<B>(request: ServiceRequest, response: HttpResponse) -> ServiceResponse<EitherBody<B>> {
    let (request, _) = request.into_parts();
    ServiceResponse::new(request, response).map_into_right_body()
}

pub fn id_value(id: Uuid) -> HeaderValue {
    HeaderValue::from_str(&id.to_string()).expect("a UUID is a header value")
}
