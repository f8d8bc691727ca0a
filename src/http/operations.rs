//! The status of a recorded call.

use std::borrow::Cow;

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Payload};
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::admission::Permit;
use super::request::{body, id};
use super::requester::Requester;
use super::{Service, envelope};
use crate::error::{Code, Error, UNKNOWN_CODE};
use crate::operation::{Details, Operation, Status, Stored};
use crate::resource::Resource;

pub const STATUS: &str = "/api/v2/global/call/{request_id}";
pub const DETAILS: &str = "/api/v3/global/call/{request_id}";

#[derive(Serialize)]
struct StatusOnly {
    status: Cow<'static, str>,
}

/// `GET /api/v2/global/call/{requestId}`
pub async fn status(
    service: Data<Service>,
    call: (Requester, Permit),
    request_id: Path<String>,
    body: Payload,
) -> Result<HttpResponse, Error> {
    let found = find(&service, call, &request_id, false);
    let Details { operation, .. } = body::beside_body(body, found).await?;
    Ok(envelope::success(StatusOnly { status: operation.status.into_word(Status::name) }))
}

/// An operation as it is listed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    request_id: Uuid,
    status: Cow<'static, str>,
    resource: Cow<'static, str>,
    customer_id: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    completed_at: Option<OffsetDateTime>,
    error_code: Cow<'static, str>,
    error_message: &'static str,
}

impl From<Operation> for Call {
    fn from(operation: Operation) -> Call {
        let error_message = match &operation.error_code {
            None => "",
            Some(Stored::Known(code)) => code.message(),
            Some(Stored::Unknown(_)) => UNKNOWN_CODE,
        };
        Call {
            request_id: operation.id,
            status: operation.status.into_word(Status::name),
            resource: operation.resource.into_word(Resource::word),
            customer_id: operation.customer_id,
            created_at: operation.created_at,
            completed_at: operation.completed_at,
            error_code: operation.error_code.map_or(Cow::Borrowed(""), |code| code.into_word(Code::name)),
            error_message,
        }
    }
}

/// The same with the ids that caused a refusal: the first 1,000. A page of such lists would have no bound.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallDetails {
    #[serde(flatten)]
    call: Call,
    failed_ids: Vec<Uuid>,
}

/// `GET /api/v3/global/call/{requestId}`
pub async fn details(
    service: Data<Service>,
    call: (Requester, Permit),
    request_id: Path<String>,
    body: Payload,
) -> Result<HttpResponse, Error> {
    let found = find(&service, call, &request_id, true);
    let Details { operation, failed_ids } = body::beside_body(body, found).await?;
    Ok(envelope::success(CallDetails { call: operation.into(), failed_ids }))
}

async fn find(
    service: &Service,
    (Requester(requester_id), permit): (Requester, Permit),
    request_id: &str,
    with_failed_ids: bool,
) -> Result<Details, Error> {
    let operation_id = id::path_id("requestId", request_id)?;
    let found = service.repository.find_operation(requester_id, operation_id, with_failed_ids, permit).await?;
    found.ok_or(Error::Refused(Code::GLOBAL_1003))
}
