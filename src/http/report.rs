//! Reports every call to operators: one line in the log, a span, and the metrics.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::middleware::Next;
use actix_web::web::ReqData;
use actix_web::{HttpMessage, HttpRequest};
use opentelemetry::trace::TraceId;
use tracing::{Instrument, Span};

use super::call::{EndedCall, Notes, RequestId};
use super::connections::Connection;
use super::request::idempotency_key;
use super::response::REQUEST_ID;
use super::routing::resource_pattern;
use super::span;
use crate::error::Error;
use crate::telemetry::end::{log_end, milliseconds};
use crate::telemetry::metrics::{self, Abandoned};
use crate::telemetry::traces;

/// The header in which the gateway names a call.
pub const GATEWAY_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Lets the call through, and reports its end.
pub async fn report(
    id: ReqData<RequestId>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let mut report = Report::begin(*id, &request);
    request.extensions_mut().insert(Rc::clone(&report.notes));
    let response = next.call(request).instrument(report.span.clone()).await;
    report.is_abandoned = false;
    let response = response?;
    report.answered(&response);
    Ok(response)
}

/// A call that runs. If it is dropped before it is answered, the connection has ended.
struct Report {
    connection: Option<Arc<Connection>>,
    id: RequestId,
    gateway_request_id: Option<String>,
    trace_id: Option<TraceId>,
    method: &'static str,
    notes: Rc<Notes>,
    span: Span,
    began: Instant,
    is_abandoned: bool,
}

impl Report {
    fn begin(id: RequestId, request: &ServiceRequest) -> Report {
        let span = span::begin(request.head());
        Report {
            connection: request.conn_data::<Arc<Connection>>().cloned(),
            id,
            gateway_request_id: gateway_request_id(request.headers()).map(str::to_owned),
            trace_id: traces::continue_trace(&span, request.headers()),
            method: span::known_method(request.method()),
            notes: Rc::default(),
            span,
            began: Instant::now(),
            is_abandoned: true,
        }
    }

    fn answered<B>(&self, response: &ServiceResponse<B>) {
        let route = self.notes.route.get().map(Cow::Borrowed).or_else(|| matched_route(response.request()));
        let id = self.id.0.to_string();
        let id_of_response = response.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
        let end = EndedCall {
            request_id: id_of_response.unwrap_or(&id),
            route: route.as_deref(),
            status: Some(response.status().as_u16()),
            error: response.response().error().and_then(|error| error.as_error::<Error>()),
            is_replay: response.headers().contains_key(idempotency_key::REPLAYED),
        };
        self.log(&end, end.error.filter(|error| is_logged(error)).map(ToString::to_string));
        span::end(&self.span, self.method, &end);
        let code = end.error_code().unwrap_or_default().to_owned();
        let status = response.status().as_u16();
        // A wait is the wish of the caller, and says nothing about the speed of the service.
        let took = self.began.elapsed().saturating_sub(self.notes.waited.get());
        metrics::request_ended(route.unwrap_or_default(), self.method, status, code, took);
    }

    fn abandoned(&self) {
        let id = self.id.0.to_string();
        let end =
            EndedCall { request_id: &id, route: self.notes.route.get(), status: None, error: None, is_replay: false };
        let has_operation = self.notes.deletion.get().is_some() && !self.notes.validate_only.get();
        let operation = if has_operation { "; the operation tells how it ended" } else { "" };
        let was_closed = self.connection.as_ref().is_some_and(|connection| connection.is_closed());
        let (reason, abandoned) = if was_closed {
            ("the connection was closed at the limit of connections", Abandoned::AtTheLimit)
        } else {
            ("the client hung up", Abandoned::ByTheClient)
        };
        self.log(&end, Some(format!("{reason}{operation}")));
        span::end(&self.span, self.method, &end);
        metrics::request_abandoned(abandoned);
    }

    fn log(&self, end: &EndedCall<'_>, reason: Option<String>) {
        let deletion = self.notes.deletion.get();
        log_end!(
            end.is_outage(),
            request_id = %end.request_id,
            requester_id = self.notes.requester_id.get().map(display),
            customer_id = deletion.map(|deletion| display(deletion.customer_id)),
            resource = deletion.map(|deletion| deletion.resource),
            ids = deletion.map(|deletion| deletion.ids),
            code = end.error_code(),
            duration_ms = milliseconds(self.began.elapsed()),
            gateway_request_id = self.gateway_request_id,
            trace_id = self.trace_id.map(display),
            validate_only = self.notes.validate_only.get().then_some(true),
            method = self.method,
            route = end.route,
            status = end.status,
            reason,
            replayed = end.is_replay.then_some(true),
            "call"
        );
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if self.is_abandoned {
            self.abandoned();
        }
    }
}

/// The id that the gateway gave the call. Clients can set it too, so an unlikely one is not logged.
fn gateway_request_id(headers: &HeaderMap) -> Option<&str> {
    const MAX_LENGTH: usize = 128;
    let id = headers.get(GATEWAY_REQUEST_ID)?.to_str().ok()?;
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte));
    (plain && (1..=MAX_LENGTH).contains(&id.len())).then_some(id)
}

fn matched_route(request: &HttpRequest) -> Option<Cow<'static, str>> {
    static RESOURCE_PATTERN: LazyLock<String> = LazyLock::new(resource_pattern);
    request.match_pattern().map(|pattern| Cow::Owned(pattern.replace(&*RESOURCE_PATTERN, "{resource}")))
}

/// Whether the text of an error is logged. The text of a malformed call may quote what the caller
/// sent.
fn is_logged(error: &Error) -> bool {
    match error {
        Error::Unauthenticated { .. }
        | Error::TooManyRequests(_)
        | Error::OverPortion(_)
        | Error::TooManyQueued(_)
        | Error::TooManyRows(_)
        | Error::Unavailable(_)
        | Error::Defect(_) => true,
        Error::Malformed(..) | Error::Refused(_) => false,
    }
}
