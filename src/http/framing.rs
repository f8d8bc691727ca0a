//! Protects against request smuggling. A request that a gateway could read differently is refused,
//! and nothing that follows it on its connection is executed. actix itself refuses two lengths, a
//! length with chunks, transfer codings other than `chunked`, and malformed sizes.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::HttpMessage;
use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::uri::Authority;
use actix_web::http::{ConnectionType, Uri};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use futures_util::{FutureExt, Stream, StreamExt};

use super::connections::Gate;
use super::response::{self, Holding};
use crate::error::Error;

/// Lets a call through that is unambiguous.
pub async fn guard(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, actix_web::Error> {
    if let Err(error) = unambiguous(&request) {
        end_connection(&request);
        let body = request.take_payload();
        let mut response = response::reject::<BoxBody>(request, error);
        close(&mut response);
        return Ok(hold(response, body));
    }
    // actix ignores what follows the last chunk, so the end of a chunked request is uncertain.
    let in_chunks = request.headers().contains_key(header::TRANSFER_ENCODING);
    // actix closes a connection after an upgrade request, without `Connection: close`.
    if !in_chunks && request.head().connection_type() == ConnectionType::KeepAlive {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    }
    end_connection(&request);
    // actix decodes the chunks that came with the head only now.
    tokio::task::yield_now().await;
    let body = Rc::new(RefCell::new(request.take_payload()));
    let gate = request.conn_data::<Rc<Gate>>().cloned();
    request.set_payload(Payload::Stream { payload: Box::pin(Shared { body: Rc::clone(&body), gate }) });
    let mut response = next.call(request).await?.map_into_boxed_body();
    if is_malformed(&body) {
        response = ServiceResponse::from_err(
            Error::bad_request("the chunks of the body are malformed"),
            response.into_parts().0,
        );
    }
    close(&mut response);
    Ok(hold(response, body))
}

/// Keeps the unread body until the answer is sent. If it were dropped earlier, actix would read all
/// of its chunks first.
fn hold<A: MessageBody + Unpin + 'static, B>(
    response: ServiceResponse<A>,
    body: impl Unpin + 'static,
) -> ServiceResponse<EitherBody<B>> {
    response.map_body(|_, answer| EitherBody::right(BoxBody::new(Holding { body: answer, _held: body })))
}

/// Whether the received chunks that the handler did not read are malformed.
fn is_malformed(body: &RefCell<Payload>) -> bool {
    let mut body = body.borrow_mut();
    while let Some(Some(chunk)) = body.next().now_or_never() {
        if chunk.is_err() {
            return true;
        }
    }
    false
}

fn unambiguous(request: &ServiceRequest) -> Result<(), Error> {
    if request.conn_data::<Rc<Gate>>().is_some_and(|gate| gate.has_ended()) {
        return Err(Error::bad_request("the call before this one ended the connection"));
    }
    let headers = request.headers();
    // After such a head, actix treats all further bytes as the body.
    if headers.get_all(header::UPGRADE).any(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket")) {
        return Err(Error::bad_request("this service does not support websockets"));
    }
    match headers.get(header::HOST) {
        Some(host) if !names_the_host(host, request.uri()) => {
            Err(Error::bad_request("Host is malformed, or differs from the URL"))
        }
        Some(_) | None => Ok(()),
    }
}

/// An empty Host is valid.
fn names_the_host(host: &HeaderValue, uri: &Uri) -> bool {
    let Ok(host) = host.to_str() else {
        return false;
    };
    match uri.authority() {
        Some(authority) => host.parse::<Authority>().is_ok_and(|host| host_and_port(&host) == host_and_port(authority)),
        None => host.is_empty() || (host.parse::<Authority>().is_ok() && !host.contains('@')),
    }
}

/// Without a port, the port is that of http.
fn host_and_port(authority: &Authority) -> (String, u16) {
    (authority.host().to_ascii_lowercase(), authority.port_u16().unwrap_or(80))
}

fn end_connection(request: &ServiceRequest) {
    if let Some(gate) = request.conn_data::<Rc<Gate>>() {
        gate.end();
    }
}

fn close<B>(response: &mut ServiceResponse<B>) {
    response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
}

/// A body that the middleware and the handler share.
struct Shared {
    body: Rc<RefCell<Payload>>,
    gate: Option<Rc<Gate>>,
}

impl Stream for Shared {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = Pin::new(&mut *self.body.borrow_mut()).poll_next(context);
        if let (Poll::Pending, Some(gate)) = (&polled, &self.gate) {
            gate.read();
        }
        polled
    }
}
