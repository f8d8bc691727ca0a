//! The facts about a call: the middlewares find them out, and handlers and the log use them.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use actix_web::{HttpMessage, HttpRequest};
use uuid::Uuid;

use crate::error::Error;

/// The id of a call. For a deletion it becomes the operation's.
#[derive(Clone, Copy)]
pub struct RequestId(pub Uuid);

/// The customer for whom the call is authenticated.
#[derive(Clone, Copy)]
pub struct Requester(pub Uuid);

/// Notes for the log, taken while a call runs.
#[derive(Default)]
pub struct Notes {
    pub requester_id: Cell<Option<Uuid>>,
    pub deletion: Cell<Option<DeletionFields>>,
    /// A call that is only validated has no operation.
    pub validate_only: Cell<bool>,
    /// The pattern of the route. actix would match the path a second time to tell it.
    pub route: Cell<Option<&'static str>>,
    /// The time that the call has waited for the end of an operation.
    pub waited: Cell<Duration>,
}

impl Notes {
    /// Takes a note about a call.
    pub fn of(request: &HttpRequest, note: impl FnOnce(&Notes)) {
        if let Some(notes) = request.extensions().get::<Rc<Notes>>() {
            note(notes);
        }
    }
}

/// The log fields of a deletion.
#[derive(Clone, Copy)]
pub struct DeletionFields {
    pub customer_id: Uuid,
    pub resource: &'static str,
    pub ids: usize,
}

/// The end of a call.
pub struct EndedCall<'a> {
    /// The id in the response: that of the recorded operation if the call is a replay.
    pub request_id: &'a str,
    pub route: Option<&'a str>,
    /// `None` if the client hung up.
    pub status: Option<u16>,
    pub error: Option<&'a Error>,
    pub is_replay: bool,
}

impl EndedCall<'_> {
    pub fn error_code(&self) -> Option<&str> {
        self.error.map(Error::code_name)
    }

    /// Whether this service or its database failed.
    pub fn is_outage(&self) -> bool {
        matches!(self.error, Some(Error::Unavailable(_) | Error::Defect(_)))
    }
}
