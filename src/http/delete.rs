//! The handler of every deletion, behind three routes.

use std::time::{Duration, Instant};

use actix_web::http::Method;
use actix_web::http::header::HeaderValue;
use actix_web::web::{Data, Path, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Service;
use super::admission::Permit;
use super::call::{DeletionFields, Notes, RequestId, Requester};
use super::envelope;
use super::portions::Portion;
use super::request::body::{BodyPortions, Incoming, Room};
use super::request::id::path_id;
use super::request::idempotency_key;
use super::request::prefer::{self, Preferences};
use super::request::query::Parameters;
use super::request::target_ids::target_ids;
use super::requester::SentActor;
use super::response::{REQUEST_ID, id_value};
use super::waiting::{self, Waited};
use crate::closed_set::{Stored, UnknownWord};
use crate::error::{Code, Error};
use crate::id_failure::IdFailure;
use crate::operation::{Actor, Deletion, Details, IdempotencyKey, Outcome, TargetIds, View};
use crate::resource::Resource;

pub const DELETE_ONE: &str = "/api/v2/customer/{customer_id}/{resource}/{id}";
pub const DELETE_LIST: &str = "/api/v2/customer/{customer_id}/{resource}";
/// For clients and gateways that drop the body of a DELETE.
pub const BATCH_DELETE: &str = "/api/v2/customer/{customer_id}/{resource}:batchDelete";

/// The parameters of the three paths. Only [`DELETE_ONE`] has an id.
#[derive(Deserialize)]
pub struct InPath {
    customer_id: String,
    resource: String,
    id: Option<String>,
}

/// The handler of all three routes.
pub async fn delete(
    service: Data<Service>,
    (requester, actor, request_id): (ReqData<Requester>, ReqData<SentActor>, ReqData<RequestId>),
    request: HttpRequest,
    path: Path<InPath>,
    incoming: Incoming,
) -> Result<HttpResponse, Error> {
    Notes::of(&request, |notes| notes.route.set(Some(route(&path, request.method()))));
    let began = Instant::now();
    let Service { repository, admission, limits, .. } = service.get_ref();
    let head = Head::parse(&request, &path, actor.into_inner(), limits.longest_wait)?;
    Notes::of(&request, |notes| notes.validate_only.set(head.validate_only));
    let mut room = Room::new(admission, *requester, limits.synchronous.max_bytes);
    let limits_of_body = limits.of(head.preferences.respond_async);
    let targets = target_ids(head.resource, head.id, request.headers(), incoming, limits_of_body, &mut room).await?;
    limits.check_rows(targets.count())?;
    admission.count_ids(*requester, targets.count())?;
    let is_long_validation = head.validate_only && targets.count() > limits.synchronous.max_ids;
    let held = Held {
        _body: room.into_portions(),
        _long_validation: is_long_validation.then(|| admission.take_long_validation(*requester)).transpose()?,
        _permit: admission.permit(&request, *requester)?,
    };
    let Head { preferences, validate_only, .. } = head;
    let deletion = head.into_deletion(request_id.0, requester.0, targets);
    let fields = DeletionFields {
        customer_id: deletion.customer_id,
        resource: deletion.resource.word(),
        ids: deletion.targets.count(),
    };
    Notes::of(&request, |notes| notes.deletion.set(Some(fields)));
    if validate_only {
        // A validation tells the outcome at once, whatever the caller prefers.
        return repository.validate(deletion, held).await.map(response);
    }
    if !preferences.respond_async {
        return repository.delete(deletion, held).await.map(response);
    }
    let accepted = repository.accept(deletion, held).await?;
    // The body may have come slowly, and the acceptance may have waited for a session.
    let wait = preferences.wait.map(|wait| limits.wait(wait, began.elapsed()));
    let after_wait = response_after_wait(&service, (&request, *requester), &accepted, wait).await;
    Ok(after_wait.unwrap_or_else(|| accepted_response(&accepted)))
}

/// Waits for the end of an accepted operation, and returns the response. Returns `None` if the call
/// did not wait, or the service shuts down.
async fn response_after_wait(
    service: &Service,
    call: (&HttpRequest, Requester),
    accepted: &Outcome,
    wait: Option<Duration>,
) -> Option<HttpResponse> {
    let longest = wait.filter(|wait| accepted.refusal.is_none() && !wait.is_zero())?;
    let operation_id = accepted.operation_id;
    let Waited { right_to_wait, .. } = waiting::until_ended(service, call, operation_id, longest).await?;
    // Looked up even if it has not ended: its age decides the `Retry-After`. If the look-up fails,
    // the answer is the 202, and the status tells the outcome.
    let found = waiting::find(service, call.1, operation_id, View::Details, right_to_wait).await;
    let mut response = match found.ok().flatten() {
        Some(details) => looked_up_response(details, accepted),
        None => accepted_response(accepted),
    };
    prefer::mark_wait(&mut response, longest);
    Some(response)
}

fn looked_up_response(details: Details, accepted: &Outcome) -> HttpResponse {
    let operation = details.operation.clone();
    let mut response = match waiting::outcome(details, accepted.replayed) {
        Ok(Some(outcome)) => response(outcome),
        Ok(None) => accepted_response(accepted),
        Err(given_up) => with_headers(HttpResponse::from_error(given_up), accepted),
    };
    waiting::suggest_retry(&mut response, &operation);
    response
}

fn route(path: &InPath, method: &Method) -> &'static str {
    match (&path.id, method) {
        (Some(_), _) => DELETE_ONE,
        (None, &Method::POST) => BATCH_DELETE,
        (None, _) => DELETE_LIST,
    }
}

/// A call without its body.
struct Head {
    customer_id: Uuid,
    resource: Resource,
    id: Option<Uuid>,
    idempotency_key: Option<IdempotencyKey>,
    actor: Option<Actor>,
    /// AIP-163: every check runs, and nothing is deleted.
    validate_only: bool,
    preferences: Preferences,
}

impl Head {
    fn parse(request: &HttpRequest, path: &InPath, actor: SentActor, longest_wait: Duration) -> Result<Head, Error> {
        Ok(Head {
            resource: path.resource.parse().map_err(|error: UnknownWord| Error::Defect(error.to_string()))?,
            customer_id: path_id("customerId", &path.customer_id)?,
            id: path.id.as_deref().map(|id| path_id("id", id)).transpose()?,
            idempotency_key: idempotency_key::parse(request.headers())?,
            actor: actor.parsed()?,
            validate_only: validate_only(request.query_string())?,
            preferences: Preferences::parse(request.headers(), longest_wait),
        })
    }

    fn into_deletion(self, operation_id: Uuid, requester_id: Uuid, targets: TargetIds) -> Deletion {
        let Head { customer_id, resource, idempotency_key, actor, .. } = self;
        Deletion { operation_id, requester_id, customer_id, resource, targets, idempotency_key, actor }
    }
}

pub fn validate_only(query: &str) -> Result<bool, Error> {
    Parameters::parse(query)?.flag("validateOnly")
}

/// The permit and the portions of a deletion. The repository holds them until its work has ended.
struct Held {
    _body: BodyPortions,
    _long_validation: Option<Portion>,
    _permit: Permit,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Deleted {
    request_id: Uuid,
}

fn response(outcome: Outcome) -> HttpResponse {
    let response = match &outcome.refusal {
        None => envelope::success(Deleted { request_id: outcome.operation_id }),
        Some(code) => refuse(code, &outcome.failures),
    };
    with_headers(response, &outcome)
}

/// The envelope has no room for the failures; a problem has.
fn refuse(code: &Stored<Code>, failures: &[IdFailure]) -> HttpResponse {
    let mut response = HttpResponse::from_error(Error::Refused(code.clone()));
    response.extensions_mut().insert(failures.to_vec());
    response
}

/// The response to an accepted call. The only possible refusal is a reused key.
fn accepted_response(outcome: &Outcome) -> HttpResponse {
    let mut response = match &outcome.refusal {
        None => envelope::accepted(Deleted { request_id: outcome.operation_id }),
        Some(code) => refuse(code, &outcome.failures),
    };
    if outcome.refusal.is_none() {
        prefer::mark_accepted(&mut response, outcome.operation_id);
    }
    with_headers(response, outcome)
}

/// A replay differs from the first response in one header.
fn with_headers(mut response: HttpResponse, outcome: &Outcome) -> HttpResponse {
    response.headers_mut().insert(REQUEST_ID, id_value(outcome.operation_id));
    if outcome.replayed {
        response.headers_mut().insert(idempotency_key::REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_true_asks_to_validate() {
        for (query, asked) in [
            ("", false),
            ("validateOnly=true", true),
            ("validateOnly=false", false),
            ("&&validateOnly=true&", true),
            ("trace=1&validateOnly=true&trace=2", true),
            // The same text, as any client may write it.
            ("validate%4Fnly=tru%65", true),
        ] {
            assert_eq!(validate_only(query).map_err(|error| error.message().to_owned()), Ok(asked), "{query}");
        }
    }

    #[test]
    fn other_parameters_are_ignored() {
        for query in
            ["validate", "x=validateOnly=maybe", "validateonly=maybe", "validateOnly[]=maybe", "%ff=%", "=&=", "?"]
        {
            assert_eq!(validate_only(query).map_err(|error| error.message().to_owned()), Ok(false), "{query}");
        }
    }

    #[test]
    fn everything_else_in_validate_only_is_malformed_and_named() {
        for query in [
            "validateOnly",
            "validateOnly=",
            "validateOnly=True",
            "validateOnly=TRUE",
            "validateOnly=1",
            "validateOnly=0",
            "validateOnly=yes",
            "validateOnly=null",
            "validateOnly=true+",
            "validateOnly=%20true",
            "validateOnly=true;false",
            "validateOnly=true%00",
            "validateOnly=%ff",
            "validateOnly=true?",
            "validateOnly=true&validateOnly=true",
            "validateOnly=false&x=1&validateOnly=true",
            "validateOnly=true&validate%4Fnly=false",
        ] {
            let error = validate_only(query).expect_err(query);
            assert_eq!((error.code_name(), error.message().contains("validateOnly")), ("BAD_REQUEST", true), "{query}");
        }
    }
}
