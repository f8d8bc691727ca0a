//! The status of a recorded call.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::admission::Place;
use super::requester::Requester;
use super::{Service, envelope, target};
use crate::error::{Code, Error};
use crate::operation::Operation;

pub const STATUS: &str = "/api/v2/global/call/{request_id}";
pub const DETAILS: &str = "/api/v3/global/call/{request_id}";

#[derive(Serialize)]
struct StatusOnly {
    status: &'static str,
}

/// `GET /api/v2/global/call/{requestId}`
pub async fn status(
    service: Data<Service>,
    call: (Requester, Place),
    request_id: Path<String>,
) -> Result<HttpResponse, Error> {
    let operation = find(&service, call, &request_id).await?;
    Ok(envelope::success(StatusOnly { status: operation.status.name() }))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    request_id: Uuid,
    status: &'static str,
    resource: &'static str,
    customer_id: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    completed_at: Option<OffsetDateTime>,
    error_code: &'static str,
    error_message: &'static str,
    failed_ids: Vec<Uuid>,
}

/// `GET /api/v3/global/call/{requestId}`
pub async fn details(
    service: Data<Service>,
    call: (Requester, Place),
    request_id: Path<String>,
) -> Result<HttpResponse, Error> {
    let operation = find(&service, call, &request_id).await?;
    Ok(envelope::success(Details {
        request_id: operation.id,
        status: operation.status.name(),
        resource: operation.resource.word(),
        customer_id: operation.customer_id,
        created_at: operation.created_at,
        completed_at: operation.completed_at,
        error_code: operation.error_code.map_or("", Code::name),
        error_message: operation.error_code.map_or("", Code::message),
        failed_ids: operation.failed_ids,
    }))
}

async fn find(
    service: &Service,
    (Requester(requester_id), place): (Requester, Place),
    request_id: &str,
) -> Result<Operation, Error> {
    let id = target::path_id("requestId", request_id)?;
    let operation = service.repository.find_operation(requester_id, id, place).await?;
    operation.ok_or(Error::Refused(Code::GLOBAL_1003))
}
