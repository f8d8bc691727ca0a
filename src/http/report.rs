//! How a call shows to operators: its one line in the log, its span, and its place in the metrics.

use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest};
use opentelemetry::trace::TraceId;
use tracing::{Instrument, Span};
use uuid::Uuid;

use super::answer::{REQUEST_ID, RequestId, answer_as};
use super::connection::Connection;
use super::request::idempotency_key;
use super::span::{self, OTHER_METHOD};
use crate::error::Error;
use crate::operation::Deletion;
use crate::telemetry::{metrics, traces};

/// What a deletion adds to its line in the log.
#[derive(Clone, Copy)]
pub struct DeletionFields {
    customer_id: Uuid,
    resource: &'static str,
    ids: usize,
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

/// What handlers note for the line of their call.
#[derive(Default)]
pub struct Notes {
    pub requester_id: Cell<Option<Uuid>>,
    pub deletion: Cell<Option<DeletionFields>>,
    /// Whether the deletion is only validated: there is no operation to look up then.
    pub validate_only: Cell<bool>,
    /// The pattern of the route, where a handler knows it. The library would match the path a second time to tell.
    pub route: Cell<Option<&'static str>>,
}

impl Notes {
    /// Takes a note about a call.
    pub fn of(request: &HttpRequest, note: impl FnOnce(&Notes)) {
        if let Some(notes) = request.extensions().get::<Rc<Notes>>() {
            note(notes);
        }
    }
}

/// The line of a call whose client hangs up: its handler is dropped, and never comes to the line of an answer.
struct LineIfAbandoned {
    request_id: Uuid,
    gateway_request_id: Option<String>,
    trace_id: Option<TraceId>,
    method: &'static str,
    notes: Rc<Notes>,
    span: Span,
    answered: bool,
}

impl Drop for LineIfAbandoned {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        metrics::request_abandoned();
        let end = span::End {
            method: self.method,
            route: self.notes.route.get(),
            status: None,
            request_id: Some(&self.request_id.to_string()),
            error_code: None,
        };
        span::end(&self.span, &end);
        let deletion = self.notes.deletion.get();
        let validate_only = self.notes.validate_only.get();
        let reason = match deletion {
            Some(_) if !validate_only => "the client hung up; the operation tells how it ended",
            Some(_) | None => "the client hung up",
        };
        tracing::info!(
            request_id = %self.request_id,
            gateway_request_id = self.gateway_request_id,
            trace_id = self.trace_id.map(display),
            requester_id = self.notes.requester_id.get().map(display),
            customer_id = deletion.map(|deletion| display(deletion.customer_id)),
            resource = deletion.map(|deletion| deletion.resource),
            ids = deletion.map(|deletion| deletion.ids),
            validate_only = validate_only.then_some(true),
            method = self.method,
            reason,
            "call"
        );
    }
}

/// What a finished call leaves behind, beside its answer.
struct Report<'a> {
    request: &'a HttpRequest,
    request_id: Option<&'a str>,
    trace_id: Option<TraceId>,
    notes: Rc<Notes>,
    route: Option<Cow<'static, str>>,
    status: u16,
    error: Option<&'a Error>,
    replayed: bool,
    took: Duration,
}

/// Answers the call with a `Request-Id`, and reports it.
pub async fn answer_and_report(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let began = Instant::now();
    let span = span::begin(request.head());
    let trace_id = traces::continue_trace(&span, request.headers());
    let _at_work = request.conn_data::<Arc<Connection>>().map(Connection::begin);
    let id = RequestId(Uuid::now_v7());
    let notes = Rc::new(Notes::default());
    request.extensions_mut().insert(Rc::clone(&notes));
    let mut line = LineIfAbandoned {
        request_id: id.0,
        gateway_request_id: gateway_request_id(request.headers()).map(str::to_owned),
        trace_id,
        method: method(request.method()),
        notes: Rc::clone(&notes),
        span: span.clone(),
        answered: false,
    };
    let response = answer_as(id, request, next).instrument(span.clone()).await;
    line.answered = true;
    let response = response?;

    let request = response.request();
    let report = Report {
        request,
        request_id: response.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()),
        trace_id,
        route: notes.route.get().map(Cow::Borrowed).or_else(|| matched_route(request)),
        notes,
        status: response.status().as_u16(),
        error: response.response().error().and_then(|error| error.as_error::<Error>()),
        replayed: response.headers().contains_key(idempotency_key::REPLAYED),
        took: began.elapsed(),
    };
    report.log();
    report.trace(&span);
    report.count();
    Ok(response)
}

impl Report<'_> {
    fn log(&self) {
        let deletion = self.notes.deletion.get();
        let validate_only = self.notes.validate_only.get();

        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    request_id = self.request_id,
                    gateway_request_id = gateway_request_id(self.request.headers()),
                    trace_id = self.trace_id.map(display),
                    requester_id = self.notes.requester_id.get().map(display),
                    customer_id = deletion.map(|deletion| display(deletion.customer_id)),
                    resource = deletion.map(|deletion| deletion.resource),
                    ids = deletion.map(|deletion| deletion.ids),
                    validate_only = validate_only.then_some(true),
                    method = method(self.request.method()),
                    route = self.route.as_deref(),
                    status = self.status,
                    code = self.error.map(|error| error.code_name()),
                    reason = self.error.and_then(reason).map(display),
                    replayed = self.replayed.then_some(true),
                    duration_ms = milliseconds(self.took),
                    "call"
                )
            };
        }
        if self.failed() { line!(error) } else { line!(info) }
    }

    fn trace(&self, span: &Span) {
        let end = span::End {
            method: method(self.request.method()),
            route: self.route.as_deref(),
            status: Some(self.status),
            request_id: self.request_id,
            error_code: self.error.map(|error| error.code_name()),
        };
        span::end(span, &end);
    }

    fn count(self) {
        let code = match self.error.map(Error::code) {
            None => Cow::Borrowed(""),
            Some(Ok(code)) => Cow::Borrowed(code.name()),
            Some(Err(name)) => Cow::Owned(name.to_owned()),
        };
        let method = method(self.request.method());
        metrics::request_ended(self.route.unwrap_or_default(), method, self.status, code, self.took);
    }

    /// Whether it is this service or its database that failed.
    fn failed(&self) -> bool {
        matches!(self.error, Some(Error::Unavailable(_) | Error::Defect(_)))
    }
}

/// The header in which the gateway names a call.
pub const GATEWAY_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id that the gateway gave the call, if it looks like one. What a client made up on its way must not fill the log.
fn gateway_request_id(headers: &HeaderMap) -> Option<&str> {
    const LONGEST: usize = 128;
    let id = headers.get(GATEWAY_REQUEST_ID)?.to_str().ok()?;
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte));
    (plain && (1..=LONGEST).contains(&id.len())).then_some(id)
}

/// The method, if it is a registered one. A client may send any word, however long.
pub fn method(method: &Method) -> &'static str {
    match method.as_str() {
        "CONNECT" => "CONNECT",
        "DELETE" => "DELETE",
        "GET" => "GET",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        "PATCH" => "PATCH",
        "POST" => "POST",
        "PUT" => "PUT",
        "TRACE" => "TRACE",
        _ => OTHER_METHOD,
    }
}

fn matched_route(request: &HttpRequest) -> Option<Cow<'static, str>> {
    request.match_pattern().map(|pattern| Cow::Owned(pattern.replace(&*RESOURCE_PATTERN, "{resource}")))
}

/// The words in the pattern of a route are of no use in a line that has the word.
static RESOURCE_PATTERN: LazyLock<String> = LazyLock::new(super::resource_pattern);

/// To the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// What the log tells and the answer does not. A malformed call's message may quote what the caller sent, and stays out.
fn reason(error: &Error) -> Option<&Error> {
    match error {
        Error::Unauthenticated(_)
        | Error::TooManyRequests(_)
        | Error::TooManyWaiting(_)
        | Error::Unavailable(_)
        | Error::Defect(_) => Some(error),
        Error::Malformed(..) | Error::Refused(_) | Error::RefusedByNewerBuild(_) => None,
    }
}
