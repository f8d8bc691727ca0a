//! Around every call: its `Request-Id`, and its one line in the log. Health checks are answered without a line.

use std::future::{Ready, ready};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage, HttpRequest, dev};
use uuid::Uuid;

use super::requester::Requester;
use crate::error::Error;
use crate::operation::Deletion;

pub const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// The id of a call. For a deletion it becomes the operation's.
#[derive(Clone, Copy)]
pub struct RequestId(pub Uuid);

impl FromRequest for RequestId {
    type Error = Error;
    type Future = Ready<Result<RequestId, Error>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let id = request.extensions().get::<RequestId>().copied();
        ready(id.ok_or_else(|| Error::Defect("a call without an id".to_owned())))
    }
}

/// What a deletion adds to its line in the log.
#[derive(Clone, Copy)]
pub struct DeletionFields {
    pub customer_id: Uuid,
    pub resource: &'static str,
    pub ids: usize,
}

impl From<&Deletion> for DeletionFields {
    fn from(deletion: &Deletion) -> DeletionFields {
        DeletionFields {
            customer_id: deletion.customer_id,
            resource: deletion.resource.word(),
            ids: deletion.targets.count(),
        }
    }
}

/// The line of a call whose client hangs up: its handler is dropped, and never comes to the line of an answer.
pub struct LineIfAbandoned {
    request_id: Uuid,
    requester_id: Uuid,
    fields: DeletionFields,
    answered: bool,
}

impl LineIfAbandoned {
    pub fn new(deletion: &Deletion) -> LineIfAbandoned {
        LineIfAbandoned {
            request_id: deletion.operation_id,
            requester_id: deletion.requester_id,
            fields: DeletionFields::from(deletion),
            answered: false,
        }
    }

    /// The call is answered after all, and has its line from there.
    pub fn withdraw(mut self) {
        self.answered = true;
    }
}

impl Drop for LineIfAbandoned {
    fn drop(&mut self) {
        if !self.answered {
            tracing::info!(
                request_id = %self.request_id,
                requester_id = %self.requester_id,
                customer_id = %self.fields.customer_id,
                resource = self.fields.resource,
                ids = self.fields.ids,
                reason = "the client hung up; the operation tells how it ended",
                "call"
            );
        }
    }
}

/// Gives the call its id, and the answer its `Request-Id`, unless the answer speaks of another operation.
pub async fn answer(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let id = RequestId(Uuid::now_v7());
    request.extensions_mut().insert(id);
    let mut response = next.call(request).await?;
    if !response.headers().contains_key(REQUEST_ID) {
        response.headers_mut().insert(REQUEST_ID, header_value(id.0));
    }
    Ok(response)
}

/// The same, and one line in the log.
pub async fn answer_and_log(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let began = Instant::now();
    let response = answer(request, next).await?;
    log(&response, began);
    Ok(response)
}

pub fn header_value(id: Uuid) -> HeaderValue {
    HeaderValue::from_str(&id.to_string()).expect("a UUID is a header value")
}

fn log<B>(response: &ServiceResponse<B>, began: Instant) {
    let request = response.request();
    let extensions = request.extensions();
    let error = response.response().error().and_then(|error| error.as_error::<Error>());
    let deletion = extensions.get::<DeletionFields>();
    let requester = extensions.get::<Requester>().map(|requester| tracing::field::display(requester.0));
    let route = request.match_pattern().map(|pattern| pattern.replace(&*RESOURCE_PATTERN, "{resource}"));

    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                request_id = response.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()),
                requester_id = requester,
                customer_id = deletion.map(|deletion| tracing::field::display(deletion.customer_id)),
                resource = deletion.map(|deletion| deletion.resource),
                ids = deletion.map(|deletion| deletion.ids),
                method = request.method().as_str().get(..LONGEST_METHOD).unwrap_or(request.method().as_str()),
                route = route.as_deref(),
                status = response.status().as_u16(),
                code = error.map(|error| error.code().name()),
                reason = error.and_then(reason).map(tracing::field::display),
                replayed = response.headers().contains_key(super::idempotency::REPLAYED).then_some(true),
                duration_ms = milliseconds(began.elapsed()),
                "call"
            )
        };
    }
    match error {
        Some(Error::Unavailable(_) | Error::Defect(_)) => line!(error),
        _ => line!(info),
    }
}

/// A client may send any word as its method, however long.
const LONGEST_METHOD: usize = 16;

/// The words in the pattern of a route are of no use in a line that has the word.
static RESOURCE_PATTERN: LazyLock<String> = LazyLock::new(super::resource_pattern);

/// To the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// What the log tells and the answer does not. A malformed call's message may quote what the caller sent, and stays out.
fn reason(error: &Error) -> Option<&Error> {
    match error {
        Error::Unauthenticated(_) | Error::TooManyRequests(_) | Error::Unavailable(_) | Error::Defect(_) => Some(error),
        Error::Malformed(..) | Error::Refused(_) => None,
    }
}
