//! The status of one operation.

use std::borrow::Cow;

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, ReqData};
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::admission::{Admission, Permit};
use super::call::Requester;
use super::envelope;
use super::request::body::{Incoming, beside_body};
use super::request::id;
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
    repository: Data<Repository>,
    call: (ReqData<Requester>, Permit),
    request_id: Path<String>,
    incoming: Incoming,
) -> Result<HttpResponse, Error> {
    let found = find(&repository, call, &request_id, false);
    let Details { operation, .. } = beside_body(incoming, found).await?;
    Ok(envelope::success(StatusContent { status: operation.status.into_word(Status::name) }))
}

/// An operation without its `failedIds`, which could make a page of a list very long.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationContent {
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
            created_at: operation.created_at,
            completed_at: operation.completed_at,
            error_code: operation.error_code.map_or(Cow::Borrowed(""), |code| code.into_word(Code::name)),
            error_message,
        }
    }
}

/// `failed_ids` has at most 1,000 ids.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DetailsContent {
    #[serde(flatten)]
    operation: OperationContent,
    failed_ids: Vec<Uuid>,
}

/// `GET /api/v3/global/call/{requestId}`
pub async fn details(
    (repository, admission): (Data<Repository>, Data<Admission>),
    call: (ReqData<Requester>, Permit),
    request_id: Path<String>,
    incoming: Incoming,
) -> Result<HttpResponse, Error> {
    let found = find(&repository, call, &request_id, true);
    let Details { operation, failed_ids } = beside_body(incoming, found).await?;
    admission.hold_answer(envelope::success(DetailsContent { operation: operation.into(), failed_ids }))
}

async fn find(
    repository: &Repository,
    (requester, permit): (ReqData<Requester>, Permit),
    request_id: &str,
    with_failed_ids: bool,
) -> Result<Details, Error> {
    let operation_id = id::path_id("requestId", request_id)?;
    let found = repository.find_operation(requester.0, operation_id, with_failed_ids, permit).await?;
    found.ok_or(Error::Refused(Code::GLOBAL_1003))
}
