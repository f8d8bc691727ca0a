//! The status of one operation.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use actix_web::web::{Data, Path, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Service;
use super::admission::Permit;
use super::call::Requester;
use super::envelope;
use super::failures::FailureContent;
use super::request::body::{Incoming, beside_body};
use super::request::query::Parameters;
use super::request::{id, prefer};
use super::waiting::{self, Waited};
use crate::closed_set::Stored;
use crate::error::{Code, Error, UNKNOWN_CODE};
use crate::operation::{Details, Operation, Status, View};
use crate::resource::Resource;

pub const STATUS: &str = "/api/v2/global/call/{request_id}";
pub const DETAILS: &str = "/api/v3/global/call/{request_id}";

#[derive(Serialize)]
struct StatusContent {
    status: Cow<'static, str>,
}

/// `GET /api/v2/global/call/{requestId}`
pub async fn status(
    service: Data<Service>,
    call: (ReqData<Requester>, Permit),
    request: HttpRequest,
    request_id: Path<String>,
    incoming: Incoming,
) -> Result<HttpResponse, Error> {
    let found = beside_body(incoming, find(&service, call, &request, &request_id, View::Status)).await?;
    let status = found.details.operation.status.clone().into_word(Status::word);
    Ok(found.with_headers(envelope::success(StatusContent { status })))
}

/// The members that a list also has. [`DetailsContent`] adds the members that would make a page too
/// long or need more statements.
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
            status: operation.status.into_word(Status::word),
            resource: operation.resource.into_word(Resource::word),
            customer_id: operation.customer_id,
            actor: operation.actor,
            created_at: operation.created_at,
            completed_at: operation.completed_at,
            error_code: operation.error_code.map_or(Cow::Borrowed(""), |code| code.into_word(Code::word)),
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
    deleted_rows: u32,
    attempts: u32,
    #[serde(with = "time::serde::rfc3339::option")]
    restored_at: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_ids: Option<Vec<Uuid>>,
}

/// `GET /api/v3/global/call/{requestId}`
pub async fn details(
    service: Data<Service>,
    call: (ReqData<Requester>, Permit),
    request: HttpRequest,
    request_id: Path<String>,
    incoming: Incoming,
) -> Result<HttpResponse, Error> {
    let view = view(request.query_string())?;
    let requester = *call.0;
    let found = beside_body(incoming, find(&service, call, &request, &request_id, view)).await?;
    let target_ids = match view {
        View::Status | View::Details => None,
        View::Full => {
            let _room = service.admission.room_for_ids(requester, found.details.target_count)?;
            let permit = service.admission.permit(&request, requester)?;
            let operation_id = found.details.operation.id;
            let target_ids = service.repository.find_target_ids(requester.0, operation_id, permit).await?;
            Some(target_ids.ok_or(Error::refused(Code::GLOBAL_1003))?)
        }
    };
    let response = details_content(found.details.clone(), target_ids);
    service.admission.hold_answer(requester, found.with_headers(response))
}

/// # Errors
///
/// `view` in the query is not `full`, or is sent twice.
pub fn view(query: &str) -> Result<View, Error> {
    match Parameters::parse(query)?.one("view")? {
        None => Ok(View::Details),
        Some("full") => Ok(View::Full),
        Some(_) => Err(Error::bad_request("view in the query must be full, or be left out")),
    }
}

pub fn details_content(details: Details, target_ids: Option<Vec<Uuid>>) -> HttpResponse {
    let Details { operation, failed_ids, failures, deleted_rows, attempts, restored_at, target_count: _ } = details;
    let operation = operation.into();
    let failures = failures.into_iter().map(FailureContent::from).collect();
    envelope::success(DetailsContent {
        operation,
        failed_ids,
        failures,
        deleted_rows,
        attempts,
        restored_at,
        target_ids,
    })
}

struct Found {
    details: Details,
    /// The `wait` that was applied. `None` if the caller sent none, or the call could not wait.
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

/// If the operation is open and the caller prefers to wait, waits for its end. Looks the operation
/// up again only if it has ended.
async fn find(
    service: &Service,
    (requester, permit): (ReqData<Requester>, Permit),
    request: &HttpRequest,
    request_id: &str,
    view: View,
) -> Result<Found, Error> {
    let began = Instant::now();
    let operation_id = id::path_id("requestId", request_id)?;
    let unknown = || Error::refused(Code::GLOBAL_1003);
    let found = service.repository.find_operation(requester.0, operation_id, view, permit).await?;
    let details = found.ok_or_else(unknown)?;
    let wait = prefer::Preferences::parse(request.headers(), service.limits.longest_wait).wait;
    let Some(longest) = wait else { return Ok(Found { details, waited: None }) };
    if !waiting::is_open(&details) {
        return Ok(Found { details, waited: Some(longest) });
    }
    let longest = service.limits.wait(longest, began.elapsed());
    match waiting::until_ended(service, (request, *requester), operation_id, longest).await {
        Some(Waited { has_ended: true, right_to_wait }) => {
            let found = waiting::find(service, *requester, operation_id, view, right_to_wait).await?;
            Ok(Found { details: found.ok_or_else(unknown)?, waited: Some(longest) })
        }
        Some(Waited { has_ended: false, .. }) => Ok(Found { details, waited: Some(longest) }),
        None => Ok(Found { details, waited: None }),
    }
}
