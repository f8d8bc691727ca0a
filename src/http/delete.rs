//! The one delete handler, behind three URLs.

use std::str::FromStr;

use actix_web::http::header::HeaderValue;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::admission::Permit;
use super::answer::{REQUEST_ID, RequestId, header_value};
use super::report::{DeletionFields, Notes};
use super::request::body::Room;
use super::request::id::path_id;
use super::request::target_ids::target_ids;
use super::request::{idempotency_key, prefer, validate_only};
use super::requester::Requester;
use super::{Service, envelope};
use crate::error::{Code, Error};
use crate::operation::{Deletion, Outcome, Stored};
use crate::resource::Resource;

pub const DELETE_ONE: &str = "/api/v2/customer/{customer_id}/{resource}/{id}";
pub const DELETE_LIST: &str = "/api/v2/customer/{customer_id}/{resource}";
pub const BATCH_DELETE: &str = "/api/v2/customer/{customer_id}/{resource}:batchDelete";

/// `DELETE /api/v2/customer/{customerId}/<word>/{id}`
pub async fn delete_one(
    service: Data<Service>,
    request: HttpRequest,
    call: (Requester, RequestId, Permit),
    path: Path<(String, String, String)>,
    payload: Payload,
) -> Result<HttpResponse, Error> {
    let (customer_id, word, id) = path.into_inner();
    Notes::of(&request, |notes| notes.route.set(Some(DELETE_ONE)));
    delete(&service, &request, call, (&customer_id, &word, Some(&id)), payload).await
}

/// `DELETE /api/v2/customer/{customerId}/<word>` with a list in its body.
pub async fn delete_list(
    service: Data<Service>,
    request: HttpRequest,
    call: (Requester, RequestId, Permit),
    path: Path<(String, String)>,
    payload: Payload,
) -> Result<HttpResponse, Error> {
    Notes::of(&request, |notes| notes.route.set(Some(DELETE_LIST)));
    delete_several(&service, &request, call, path, payload).await
}

/// `POST /api/v2/customer/{customerId}/<word>:batchDelete`, for clients and gateways that drop the body of a DELETE.
pub async fn batch_delete(
    service: Data<Service>,
    request: HttpRequest,
    call: (Requester, RequestId, Permit),
    path: Path<(String, String)>,
    payload: Payload,
) -> Result<HttpResponse, Error> {
    Notes::of(&request, |notes| notes.route.set(Some(BATCH_DELETE)));
    delete_several(&service, &request, call, path, payload).await
}

async fn delete_several(
    service: &Service,
    request: &HttpRequest,
    call: (Requester, RequestId, Permit),
    path: Path<(String, String)>,
    payload: Payload,
) -> Result<HttpResponse, Error> {
    let (customer_id, word) = path.into_inner();
    delete(service, request, call, (&customer_id, &word, None), payload).await
}

/// The permits of a deletion. The repository holds them until its work has ended.
struct Permits {
    _in_flight: Permit,
    _large_body: Option<OwnedSemaphorePermit>,
    _long_validation: Option<OwnedSemaphorePermit>,
}

async fn delete(
    service: &Service,
    request: &HttpRequest,
    (Requester(requester_id), RequestId(operation_id), in_flight): (Requester, RequestId, Permit),
    (customer_id, word, id): (&str, &str, Option<&str>),
    payload: Payload,
) -> Result<HttpResponse, Error> {
    let resource = Resource::from_str(word).map_err(|error| Error::Defect(error.to_string()))?;
    let customer_id = path_id("customerId", customer_id)?;
    let id = id.map(|id| path_id("id", id)).transpose()?;
    let headers = request.headers();
    let idempotency_key = idempotency_key::parse(headers)?;
    let validate_only = validate_only::is_asked(request.query_string())?;
    Notes::of(request, |notes| notes.validate_only.set(validate_only));
    let wanted = prefer::outcome(headers);
    let awaited = service.limits.awaited;
    let mut room = Room::new(&service.admission, awaited.max_bytes);
    let targets = target_ids(resource, id, headers, payload, service.limits.of(wanted), &mut room).await?;
    let long = validate_only && targets.count() > awaited.max_ids;
    let long_validation = long.then(|| service.admission.long_validation_permit()).transpose()?;

    let deletion = Deletion { operation_id, requester_id, customer_id, resource, targets, idempotency_key };
    Notes::of(request, |notes| notes.deletion.set(Some(DeletionFields::from(&deletion))));
    let permits = Permits { _in_flight: in_flight, _large_body: room.into_permit(), _long_validation: long_validation };
    match wanted {
        // Whoever asks beforehand wants to know the outcome, also of a call that would not wait for it.
        _ if validate_only => service.repository.validate(deletion, permits).await.map(answer),
        prefer::Outcome::Awaited => service.repository.delete(deletion, permits).await.map(answer),
        prefer::Outcome::Later => service.repository.accept(deletion, permits).await.map(answer_before_outcome),
    }
}

/// The same whether it is done or accepted.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Deleted {
    request_id: Uuid,
}

/// The same for a call and for one that is only validated.
fn answer(outcome: Outcome) -> HttpResponse {
    let response = match &outcome.refusal {
        None => envelope::success(Deleted { request_id: outcome.operation_id }),
        Some(code) => refuse(code),
    };
    with_headers(response, &outcome)
}

fn refuse(code: &Stored<Code>) -> HttpResponse {
    HttpResponse::from_error(match code {
        Stored::Known(code) => Error::Refused(*code),
        Stored::Unknown(name) => Error::RefusedByNewerBuild(name.clone()),
    })
}

/// What is to be deleted is on record, unless the key is another call's.
fn answer_before_outcome(outcome: Outcome) -> HttpResponse {
    let mut response = match &outcome.refusal {
        None => envelope::accepted(Deleted { request_id: outcome.operation_id }),
        Some(code) => refuse(code),
    };
    if outcome.refusal.is_none() {
        prefer::mark(&mut response, outcome.operation_id);
    }
    with_headers(response, &outcome)
}

/// The same answer for a call and for its replays, but for the header that marks a replay.
fn with_headers(mut response: HttpResponse, outcome: &Outcome) -> HttpResponse {
    response.headers_mut().insert(REQUEST_ID, header_value(outcome.operation_id));
    if outcome.replayed {
        response.headers_mut().insert(idempotency_key::REPLAYED, HeaderValue::from_static("true"));
    }
    response
}
