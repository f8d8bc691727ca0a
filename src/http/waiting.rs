//! `Prefer: wait=N` (RFC 7240): the caller waits for the end of an operation, for N seconds at
//! most.

use std::time::{Duration, Instant};

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Service;
use super::call::{Notes, Requester};
use super::portions::Portion;
use crate::closed_set::Stored;
use crate::error::Error;
use crate::operation::{Details, Operation, Outcome, Status, View};
use crate::telemetry::metrics;

/// The longest time after which a caller may ask again.
const MAX_RETRY_AFTER_SECONDS: i64 = 30;

/// A wait for the end of an operation.
pub struct Waited {
    pub has_ended: bool,
    /// [`find`] needs it.
    pub right_to_wait: Portion,
}

/// Waits for the end of an operation. The caller must hold no permit, so that it takes no capacity
/// from others. Returns `None` if too many calls wait already, or the service shuts down.
pub async fn until_ended(
    service: &Service,
    (request, requester): (&HttpRequest, Requester),
    operation_id: Uuid,
    longest: Duration,
) -> Option<Waited> {
    let right_to_wait = service.admission.take_right_to_wait(requester)?;
    let began = Instant::now();
    let counted = metrics::Counted::waiting();
    let has_ended = service.repository.until_ended(operation_id, longest).await;
    drop(counted);
    Notes::of(request, |notes| notes.waited.set(began.elapsed()));
    has_ended.map(|has_ended| Waited { has_ended, right_to_wait })
}

/// Looks up an operation after a wait. The call keeps its right to wait, and needs no permit.
pub async fn find(
    service: &Service,
    requester: Requester,
    operation_id: Uuid,
    view: View,
    right_to_wait: Portion,
) -> Result<Option<Details>, Error> {
    let turn = service.admission.outcome_turn(right_to_wait).await;
    service.repository.find_operation(requester.0, operation_id, view, turn).await
}

/// Returns `None` while the operation is open, or if this build does not know its status. An
/// operation that was given up is a defect, as for a call without `respond-async`.
pub fn outcome(details: Details, replayed: bool) -> Result<Option<Outcome>, Error> {
    let Details { operation, failures, .. } = details;
    let ended = |refusal| Outcome { operation_id: operation.id, refusal, failures, replayed };
    match operation.status {
        Stored::Known(Status::Open) | Stored::Unknown(_) => Ok(None),
        Stored::Known(Status::Success) => Ok(Some(ended(None))),
        Stored::Known(Status::Failure) => Ok(Some(ended(operation.error_code))),
        Stored::Known(Status::InternalError) => Err(Error::Defect("the operation was given up".to_owned())),
    }
}

pub fn is_open(details: &Details) -> bool {
    details.operation.status == Stored::Known(Status::Open)
}

/// Tells when to ask again, if the operation is open: after half the time that it has been open.
pub fn suggest_retry(response: &mut HttpResponse, operation: &Operation) {
    if operation.status == Stored::Known(Status::Open) {
        let age = OffsetDateTime::now_utc() - operation.created_at;
        let seconds = (age.whole_seconds() / 2).clamp(1, MAX_RETRY_AFTER_SECONDS);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
}
