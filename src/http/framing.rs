//! Where one call ends and the next begins. Whatever could be read in two ways, by the gateway and by this service, is
//! refused, and nothing that comes after it on its connection is executed. The HTTP library refuses most of it before it gets
//! here: two lengths, a length and chunks, codings other than `chunked`, sizes that are no numbers.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, EitherBody, MessageBody};
use actix_web::dev::{Extensions, Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::uri::Authority;
use actix_web::http::{ConnectionType, Uri};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{HttpMessage, HttpResponse};
use futures_util::{FutureExt, Stream, StreamExt};

use super::answer;
use crate::error::Error;

/// Whether a connection has had its last call. The library alone would go on with calls that are there already.
#[derive(Default)]
struct Ended(Cell<bool>);

/// To be done with every new connection.
pub fn connected(data: &mut Extensions) {
    data.insert(Ended::default());
}

/// Lets a call through that can be read in one way only, on a connection that is still good.
pub async fn guard(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, actix_web::Error> {
    if let Err(error) = unambiguous(&request) {
        end_connection(&request);
        let mut response = answer::refuse(request, HttpResponse::from_error(error));
        close(&mut response);
        return Ok(response);
    }
    // The library reads over what ends the chunks, whatever it is, so the end of such a call is not a certain one.
    let in_chunks = request.headers().contains_key(header::TRANSFER_ENCODING);
    // Nor does the library keep a connection that was to be upgraded, and would not say so.
    if !in_chunks && request.head().connection_type() == ConnectionType::KeepAlive {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    }
    end_connection(&request);
    // A call that needs no wait would be answered before the library has decoded the chunks that came with its head.
    tokio::task::yield_now().await;
    let body = Rc::new(RefCell::new(request.take_payload()));
    request.set_payload(Payload::Stream { payload: Box::pin(Shared(Rc::clone(&body))) });
    let mut response = next.call(request).await?.map_into_boxed_body();
    if is_malformed(&body) {
        response = ServiceResponse::from_err(
            Error::bad_request("the chunks of the body are malformed"),
            response.into_parts().0,
        );
    }
    close(&mut response);
    Ok(response
        .map_body(|_, answer| EitherBody::right(BoxBody::new(Holding { answer: Box::pin(answer), _body: body }))))
}

/// Whether the chunks that have come and that the handler left unread are malformed.
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
    if request.conn_data::<Ended>().is_some_and(|ended| ended.0.get()) {
        return Err(Error::bad_request("the call before this one was the last of its connection"));
    }
    let headers = request.headers();
    // To the library everything after this header is a body, whatever its length.
    if headers.get_all(header::UPGRADE).any(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket")) {
        return Err(Error::bad_request("there are no websockets here"));
    }
    match headers.get(header::HOST) {
        Some(host) if !names_the_host(host, request.uri()) => {
            Err(Error::bad_request("Host is malformed, or not that of the URL"))
        }
        Some(_) | None => Ok(()),
    }
}

/// An empty Host is a valid one.
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
    if let Some(ended) = request.conn_data::<Ended>() {
        ended.0.set(true);
    }
}

fn close<B>(response: &mut ServiceResponse<B>) {
    response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
}

/// A body that its reader does not own.
struct Shared(Rc<RefCell<Payload>>);

impl Stream for Shared {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_next(context)
    }
}

/// An answer that holds the body of its call until it is sent: the library reads chunks that nobody holds to their end, however
/// far that is, before it closes the connection.
struct Holding<B> {
    answer: Pin<Box<B>>,
    _body: Rc<RefCell<Payload>>,
}

impl<B: MessageBody> MessageBody for Holding<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.answer.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, B::Error>>> {
        self.answer.as_mut().poll_next(context)
    }
}
