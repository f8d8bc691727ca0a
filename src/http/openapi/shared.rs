//! The answers that a call can have whatever it is about.

use std::time::Duration;

use actix_web::http::StatusCode;
use utoipa::openapi::response::Response;
use utoipa::openapi::{Ref, RefOr};

use super::Limits;
use super::answers::{self, ALLOW, AUTHENTICATE, Case, RETRY_AFTER};
use crate::error::{Code, Error};

struct Shared {
    name: &'static str,
    status: StatusCode,
    description: &'static str,
    headers: &'static [&'static str],
    case: Case,
}

/// All of them, by their names in the document.
pub fn responses(limits: Limits) -> Vec<(&'static str, Response)> {
    let describe = |shared: Shared| (shared.name, answers::failure(shared.description, &[shared.case], shared.headers));
    shared(limits).map(describe).into()
}

/// The status of each, and where it is described. Three come only when a call may change something.
pub fn references(limits: Limits, deletes: bool) -> Vec<(String, RefOr<Response>)> {
    let of_deletions =
        [StatusCode::PAYLOAD_TOO_LARGE, StatusCode::UNSUPPORTED_MEDIA_TYPE, StatusCode::UNPROCESSABLE_ENTITY];
    shared(limits)
        .into_iter()
        .filter(|shared| deletes || !of_deletions.contains(&shared.status))
        .map(|shared| (shared.status.as_str().to_owned(), Ref::from_response_name(shared.name).into()))
        .collect()
}

fn shared(limits: Limits) -> [Shared; 8] {
    let fixed = |code: Code| Error::Malformed(code, code.message().to_owned());
    let case = |error: Error, when: &str| Case::of(error, when);
    let too_large = Error::Malformed(
        Code::PAYLOAD_TOO_LARGE,
        format!("the body is larger than {} bytes", limits.awaited.max_bytes),
    );
    [
        Shared {
            name: "Unauthenticated",
            status: StatusCode::UNAUTHORIZED,
            description: "It is not shown who calls, or not so that it can be believed. The reason is in the service's log.",
            headers: &[AUTHENTICATE],
            case: case(Error::Unauthenticated(""), "Nobody, somebody malformed, or somebody from an untrusted network"),
        },
        Shared {
            name: "MethodNotAllowed",
            status: StatusCode::METHOD_NOT_ALLOWED,
            description: "The route has another method.",
            headers: &[ALLOW],
            case: case(fixed(Code::METHOD_NOT_ALLOWED), "Another method than the documented one"),
        },
        Shared {
            name: "PayloadTooLarge",
            status: StatusCode::PAYLOAD_TOO_LARGE,
            description: "The body is larger than the service reads. Send shorter lists, or prefer not to wait for the outcome (`Prefer`).",
            headers: &[],
            case: case(too_large, "A body over the limit"),
        },
        Shared {
            name: "UnsupportedMediaType",
            status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            description: "There is a body, and it is not JSON, or it is compressed. No content type at all is read as JSON.",
            headers: &[],
            case: case(fixed(Code::UNSUPPORTED_MEDIA_TYPE), "Another content type, or a content coding"),
        },
        Shared {
            name: "IdempotencyKeyReused",
            status: StatusCode::UNPROCESSABLE_ENTITY,
            description: "The key belongs to another call of the requester: another resource, customer or set of ids. Nothing is deleted.",
            headers: &[],
            case: case(Error::Refused(Code::IDEMPOTENCY_KEY_REUSED), "Another call came under this key before"),
        },
        Shared {
            name: "TooManyRequests",
            status: StatusCode::TOO_MANY_REQUESTS,
            description: "The requester calls more often than it may, or has too many accepted operations waiting. Nothing is deleted.",
            headers: &[RETRY_AFTER],
            case: case(Error::TooManyRequests(Duration::ZERO), "Too many calls in a short time"),
        },
        Shared {
            name: "Defect",
            status: StatusCode::INTERNAL_SERVER_ERROR,
            description: "A defect of the service. Nothing is deleted, and the `Idempotency-Key` stays free.",
            headers: &[],
            case: case(Error::Defect(String::new()), "Something that should not be possible"),
        },
        Shared {
            name: "Unavailable",
            status: StatusCode::SERVICE_UNAVAILABLE,
            description: "The database is away, slow, or out of connections, too many calls, large bodies or long validations are in \
                          progress, there are no keys yet to verify tokens with, or the first call under the `Idempotency-Key` has no \
                          outcome yet. Send the same call again, under the same key.",
            headers: &[RETRY_AFTER],
            case: case(Error::Unavailable(String::new()), "The call can be sent again"),
        },
    ]
}
