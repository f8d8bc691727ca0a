//! Completes every response: its `Request-Id`, the headers for caches and browsers, and the form of
//! a failure.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{HttpMessage, HttpResponse};
use uuid::Uuid;

use super::call::RequestId;
use super::connections::{ANSWER_PIECE, Answering, Connection, Gate};
use super::negotiation;
use super::problem;
use crate::error::Error;

pub const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// Gives the call its id, and completes the headers of the response. The connection reads its next
/// call once this body is sent.
pub async fn complete(
    request: ServiceRequest,
    next: Next<impl MessageBody + Unpin + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let id = RequestId(Uuid::now_v7());
    request.extensions_mut().insert(id);
    let _calling = request.conn_data::<Arc<Connection>>().map(Connection::begin);
    let answering = Answering(request.conn_data::<Rc<Gate>>().cloned());
    let prefers_problem = negotiation::prefers_problem(request.headers());
    let mut response = next.call(request).await?;
    let id = complete_headers(response.headers_mut(), id);
    if answering.0.as_ref().is_some_and(|gate| gate.has_large_head()) {
        // Otherwise the HTTP library would keep the memory of the head until the connection ends.
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    let problem = prefers_problem.then(|| problem::take_place_of_envelope(&mut response, id)).flatten();
    // The problem is held like the envelope, until it is sent.
    let response = match problem {
        Some((text, memory)) => {
            response.map_body(|_, envelope| EitherBody::right(Holding { body: text, _held: (envelope, memory) }))
        }
        None => response.map_into_left_body(),
    };
    Ok(response.map_body(|_, body| Holding { body: InPieces { body, rest: Bytes::new() }, _held: answering }))
}

/// Keeps a `Request-Id` that a handler has set: it names a recorded operation. Returns the id of
/// the response.
fn complete_headers(headers: &mut HeaderMap, id: RequestId) -> Uuid {
    let recorded = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()?.parse().ok());
    let id = recorded.unwrap_or(id.0);
    if recorded.is_none() {
        headers.insert(REQUEST_ID, id_value(id));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    // A message may quote what the caller sent. A browser must not take it for a page.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    id
}

/// Lets the call through, or answers it with the error.
pub async fn pass_or_reject<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
    checked: Result<(), Error>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    match checked {
        Ok(()) => next.call(request).await.map(ServiceResponse::map_into_left_body),
        Err(error) => Ok(reject(request, error)),
    }
}

/// The response of a middleware that stops a call. It keeps the error for the log and the metrics,
/// which `ServiceRequest::into_response` does not.
pub fn reject<B>(request: ServiceRequest, error: Error) -> ServiceResponse<EitherBody<B>> {
    let (request, _) = request.into_parts();
    ServiceResponse::new(request, HttpResponse::from_error(error)).map_into_right_body()
}

/// The body of a response, and what must live until all of it is sent.
pub struct Holding<B, T> {
    pub body: B,
    pub _held: T,
}

impl<B: MessageBody + Unpin, T: Unpin> MessageBody for Holding<B, T> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, B::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}

/// A body that is sent in small pieces. The HTTP library copies each, and sends it before it asks
/// for the next.
struct InPieces<B> {
    body: B,
    /// Given by the body, and not sent yet.
    rest: Bytes,
}

impl<B: MessageBody + Unpin> MessageBody for InPieces<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, B::Error>>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_next(context)) {
                Some(Ok(bytes)) => self.rest = bytes,
                end => return Poll::Ready(end),
            }
        }
        let piece = self.rest.len().min(ANSWER_PIECE);
        Poll::Ready(Some(Ok(self.rest.split_to(piece))))
    }
}

pub fn id_value(id: Uuid) -> HeaderValue {
    HeaderValue::from_str(&id.to_string()).expect("a UUID is a header value")
}
