//! The status of one operation.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use actix_web::web::{Data, Path, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::admission::{Admission, Permit};
use super::call::Requester;
use super::envelope;
use super::failures::{self, FailureContent};
use super::request::body::{Incoming, beside_body};
use super::request::{Limits, id, prefer};
use super::waiting::{self, Waited};
use crate::error::{Code, Error, UNKNOWN_CODE};
use crate::operation::{Details, Operation, Status, Stored};
use crate::repository::Repository;
use crate::resource::Resource;

pub const STATUS: &str = "/api/v2/global/call/{request_id}";
pub const DETAILS: &str = "/api/v3/global/call/{request_id}";

#[derive(Serialize)]
struct StatusContent {
    status: Cow<'static, str>,
}

/// `GET /api/v2/global/call/{requestId}`
pub async fn status(
    service: (Data<Repository>, Data<Admission>, Data<Limits>),
    call: (ReqData<Requester>, Permit),
    request: HttpRequest,
    request_id: Path<String>,
    incoming: Incoming,
) -> Result<HttpResponse, Error> {
    let found = beside_body(incoming, find(service, call, &request, &request_id, false)).await?;
    let status = found.details.operation.status.clone().into_word(Status::name);
    Ok(found.with_headers(envelope::success(StatusContent { status })))
}

/// An operation without its `failedIds` and `failures`, which could make a page of a list very long.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationContent {
    request_id: Uuid,
    status: Cow<'static, str>,
    resource: Cow<'static, str>,
    customer_id: Uuid,
    actor: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    completed_at: Option<OffsetDateTime>,
    error_code: Cow<'static, str>,
    error_message: &'static str,
}

impl From<Operation> for OperationContent {
    fn from(operation: Operation) -> OperationContent {
        let error_message = match &operation.error_code {
            None => "",
            Some(Stored::Known(code)) => code.message(),
            Some(Stored::Unknown(_)) => UNKNOWN_CODE,
        };
        OperationContent {
            request_id: operation.id,
            status: operation.status.into_word(Status::name),
            resource: operation.resource.into_word(Resource::word),
            customer_id: operation.customer_id,
            actor: operation.actor,
            created_at: operation.created_at,
            completed_at: operation.completed_at,
            error_code: operation.error_code.map_or(Cow::Borrowed(""), |code| code.into_word(Code::name)),
            error_message,
        }
    }
}

/// `failed_ids` and `failures` have at most 1,000 elements.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DetailsContent {
    #[serde(flatten)]
    operation: OperationContent,
    failed_ids: Vec<Uuid>,
    failures: Vec<FailureContent>,
}

/// `GET /api/v3/global/call/{requestId}`
pub async fn details(
    service: (Data<Repository>, Data<Admission>, Data<Limits>),
    call: (ReqData<Requester>, Permit),
    request: HttpRequest,
    request_id: Path<String>,
    incoming: Incoming,
) -> Result<HttpResponse, Error> {
    let (admission, requester) = (service.1.clone(), *call.0);
    let found = beside_body(incoming, find(service, call, &request, &request_id, true)).await?;
    let response = details_content(found.details.clone());
    admission.hold_answer(requester, found.with_headers(response))
}

pub fn details_content(details: Details) -> HttpResponse {
    let Details { operation, failed_ids, failures } = details;
    let failures = failures::contents(failures);
    envelope::success(DetailsContent { operation: operation.into(), failed_ids, failures })
}

struct Found {
    details: Details,
    /// The preference of the caller, if it was applied.
    waited: Option<Duration>,
}

impl Found {
    fn with_headers(&self, mut response: HttpResponse) -> HttpResponse {
        waiting::suggest_retry(&mut response, &self.details.operation);
        if let Some(longest) = self.waited {
            prefer::mark_wait(&mut response, longest);
        }
        response
    }
}

/// If the operation is open and the caller prefers to wait, it is looked up again after the wait.
async fn find(
    (repository, admission, limits): (Data<Repository>, Data<Admission>, Data<Limits>),
    (requester, permit): (ReqData<Requester>, Permit),
    request: &HttpRequest,
    request_id: &str,
    with_failures: bool,
) -> Result<Found, Error> {
    let began = Instant::now();
    let operation_id = id::path_id("requestId", request_id)?;
    let unknown = || Error::Refused(Code::GLOBAL_1003);
    let found = repository.find_operation(requester.0, operation_id, with_failures, permit).await?;
    let details = found.ok_or_else(unknown)?;
    let wait = prefer::wait(request.headers(), limits.longest_wait);
    let Some(longest) = wait else { return Ok(Found { details, waited: None }) };
    if !waiting::is_open(&details) {
        return Ok(Found { details, waited: Some(longest) });
    }
    let longest = limits.wait(longest, began.elapsed());
    match waiting::until_ended((&repository, &admission), (request, *requester), operation_id, longest).await {
        Waited::UntilTheEnd(permit) => {
            let permit = admission.outcome_permit(permit).await;
            let found = repository.find_operation(requester.0, operation_id, with_failures, permit).await?;
            Ok(Found { details: found.ok_or_else(unknown)?, waited: Some(longest) })
        }
        Waited::InVain(_) => Ok(Found { details, waited: Some(longest) }),
        Waited::NotAtAll => Ok(Found { details, waited: None }),
    }
}
