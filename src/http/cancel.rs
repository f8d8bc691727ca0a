//! Cancels a queued operation.

use actix_web::web::{Data, Path, ReqData};
use actix_web::{HttpRequest, HttpResponse};

use super::Service;
use super::call::Requester;
use super::operations;
use super::request::body::{self, Incoming, Room};
use super::request::id;
use crate::error::Error;

pub const CANCEL: &str = "/api/v3/global/call/{request_id}:cancel";

/// `POST /api/v3/global/call/{requestId}:cancel`. The body is ignored.
pub async fn cancel(
    service: Data<Service>,
    requester: ReqData<Requester>,
    request: HttpRequest,
    request_id: Path<String>,
    incoming: Incoming,
) -> Result<HttpResponse, Error> {
    let Service { repository, admission, limits, .. } = service.get_ref();
    let operation_id = id::path_id("requestId", &request_id)?;
    let mut room = Room::new(admission, *requester, limits.synchronous.max_bytes);
    body::read(request.headers(), incoming, limits.synchronous, &mut room).await?;
    let permit = admission.permit(&request, *requester)?;
    let cancelled = repository.cancel(requester.0, operation_id, permit).await?;
    admission.hold_answer(*requester, operations::details_content(cancelled, None))
}
