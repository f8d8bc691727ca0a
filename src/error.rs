//! The documented codes, and the reasons why a call fails.

use std::borrow::Cow;
use std::time::Duration;

use actix_web::http::StatusCode;

use crate::closed_set::{Stored, closed_set};

closed_set! {
    /// The code of an answer. Numbered codes come from the platform's documents. The words are this
    /// service's own.
    #[allow(non_camel_case_types, reason = "the documented code is the identifier, so that a search finds every use")]
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Code {
        GLOBAL_1001 = "GLOBAL_1001",
        GLOBAL_1003 = "GLOBAL_1003",
        CUSTOMER_1002 = "CUSTOMER_1002",
        AUTH_1010 = "AUTH_1010",
        AUTH_1011 = "AUTH_1011",
        AUTH_1015 = "AUTH_1015",
        CUSTOMER_1017 = "CUSTOMER_1017",
        CUSTOMER_1018 = "CUSTOMER_1018",
        CUSTOMER_1026 = "CUSTOMER_1026",
        CUSTOMER_1030 = "CUSTOMER_1030",
        CUSTOMER_1046 = "CUSTOMER_1046",
        CUSTOMER_1047 = "CUSTOMER_1047",
        BAD_REQUEST = "BAD_REQUEST",
        UNAUTHORIZED = "UNAUTHORIZED",
        NOT_FOUND = "NOT_FOUND",
        METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED",
        PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE",
        UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE",
        TOO_MANY_REQUESTS = "TOO_MANY_REQUESTS",
        IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED",
        CANCELLED = "CANCELLED",
        NOT_CANCELLABLE = "NOT_CANCELLABLE",
    }
}

impl Code {
    /// The message and the HTTP status. The message of a numbered code is that of the documents, to
    /// the letter.
    const fn row(self) -> (&'static str, StatusCode) {
        match self {
            Code::GLOBAL_1001 => ("Service unavailable. Please try again", StatusCode::SERVICE_UNAVAILABLE),
            Code::GLOBAL_1003 => ("Provided request ID does not exist for your account.", StatusCode::NOT_FOUND),
            Code::CUSTOMER_1002 => ("Customer does not exist", StatusCode::NOT_FOUND),
            Code::AUTH_1010 => ("Contact for your customer was not found", StatusCode::NOT_FOUND),
            Code::AUTH_1011 => ("Address for your customer was not found", StatusCode::NOT_FOUND),
            Code::AUTH_1015 => ("Product was not found for your account", StatusCode::NOT_FOUND),
            Code::CUSTOMER_1017 => ("Unknown Contact ID", StatusCode::NOT_FOUND),
            Code::CUSTOMER_1018 => ("Unknown Address ID", StatusCode::NOT_FOUND),
            Code::CUSTOMER_1026 => ("Failed to delete external params item", StatusCode::NOT_FOUND),
            Code::CUSTOMER_1030 => (r"Failed to delete customer zone\s", StatusCode::NOT_FOUND),
            Code::CUSTOMER_1046 => {
                const MESSAGE: &str =
                    "Product deletion failure. It is not allowed to delete a product allocated to sub customers";
                (MESSAGE, StatusCode::CONFLICT)
            }
            Code::CUSTOMER_1047 => ("Unknown product id", StatusCode::NOT_FOUND),
            Code::BAD_REQUEST => ("The call is malformed.", StatusCode::BAD_REQUEST),
            Code::UNAUTHORIZED => ("The call is not authenticated.", StatusCode::UNAUTHORIZED),
            Code::NOT_FOUND => ("There is no such route.", StatusCode::NOT_FOUND),
            Code::METHOD_NOT_ALLOWED => (
                "The route does not have this method. The Allow header lists its methods.",
                StatusCode::METHOD_NOT_ALLOWED,
            ),
            Code::PAYLOAD_TOO_LARGE => ("The body is too large.", StatusCode::PAYLOAD_TOO_LARGE),
            Code::UNSUPPORTED_MEDIA_TYPE => (
                "The body must be JSON (application/json), without a content coding.",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ),
            Code::TOO_MANY_REQUESTS => (
                "The requester sends too many calls. The Retry-After header tells when to try again.",
                StatusCode::TOO_MANY_REQUESTS,
            ),
            Code::IDEMPOTENCY_KEY_REUSED => (
                "The Idempotency-Key belongs to another call. Send a new call under a new key.",
                StatusCode::UNPROCESSABLE_ENTITY,
            ),
            Code::CANCELLED => ("The call was cancelled before it was executed.", StatusCode::CONFLICT),
            Code::NOT_CANCELLABLE => {
                ("The call is being executed or has ended, and cannot be cancelled.", StatusCode::CONFLICT)
            }
        }
    }

    pub const fn message(self) -> &'static str {
        self.row().0
    }

    pub const fn status(self) -> StatusCode {
        self.row().1
    }
}

/// The message of a code that only a newer build knows.
pub const UNKNOWN_CODE: &str = "A newer version of the service refused the call.";

/// The reasons why a call fails. The comment of each begins with what its caller can do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Correct the call: its route, method, headers, query or body is invalid. The message goes
    /// into the answer.
    #[error("{1}")]
    Malformed(Code, String),

    /// Authenticate. The reason goes into the log, never into the answer.
    #[error("not authenticated: {reason}")]
    Unauthenticated {
        reason: Cow<'static, str>,
        /// The `WWW-Authenticate` header, which tells how a call is authenticated.
        challenge: Cow<'static, str>,
    },

    /// Accept it: a documented rule says no. An unknown code was recorded by a newer build: for a
    /// call that this one replays, or for the accepted operation whose end this call awaited.
    #[error("refused: {}", .0.clone().into_word(Code::word))]
    Refused(Stored<Code>),

    /// Try again after this long: the requester calls more often than it may.
    #[error("the requester exceeds its rate; it may send the next call in {0:?}")]
    TooManyRequests(Duration),

    /// Try again once fewer calls of the requester are in progress: it has used up its part of a
    /// limit. The text is for the log, and names the limit.
    #[error("the requester has used up its part of a limit: {0}")]
    OverPortion(&'static str),

    /// Try again after this long: the requester has too many queued operations.
    #[error("the requester has as many queued operations as CUSTOMER_DELETION__QUEUE__MAX_OPERATIONS allows")]
    TooManyQueued(Duration),

    /// Try again after this long: the requester has deleted as many rows as it may in an hour, or
    /// would with this call.
    #[error(
        "the requester would delete more rows in an hour than CUSTOMER_DELETION__REQUESTER__DELETED_ROWS_PER_HOUR allows"
    )]
    TooManyRows(Duration),

    /// Try again: for example, the database is unreachable or slow, a limit of the service is
    /// reached, or no key for tokens is loaded yet.
    #[error("unavailable: {0}")]
    Unavailable(String),

    /// Report it: a defect of this service or its schema.
    #[error("defect: {0}")]
    Defect(String),
}

impl Error {
    pub fn unauthenticated(reason: impl Into<Cow<'static, str>>, challenge: impl Into<Cow<'static, str>>) -> Error {
        Error::Unauthenticated { reason: reason.into(), challenge: challenge.into() }
    }

    pub fn refused(code: Code) -> Error {
        Error::Refused(Stored::Known(code))
    }

    /// A 400 whose message names what is wrong.
    pub fn bad_request(message: impl Into<String>) -> Error {
        Error::Malformed(Code::BAD_REQUEST, message.into())
    }

    /// The code, or the name of one that this build does not know.
    pub fn code(&self) -> Result<Code, &str> {
        match self {
            Error::Malformed(code, _) | Error::Refused(Stored::Known(code)) => Ok(*code),
            Error::Refused(Stored::Unknown(name)) => Err(name),
            Error::Unauthenticated { .. } => Ok(Code::UNAUTHORIZED),
            Error::TooManyRequests(_) | Error::OverPortion(_) | Error::TooManyQueued(_) | Error::TooManyRows(_) => {
                Ok(Code::TOO_MANY_REQUESTS)
            }
            Error::Unavailable(_) | Error::Defect(_) => Ok(Code::GLOBAL_1001),
        }
    }

    /// The text of `errorCode`.
    pub fn code_name(&self) -> &str {
        self.code().map_or_else(|name| name, |code| code.word())
    }

    /// The message of the code, whatever this failure adds to it.
    pub fn title(&self) -> &'static str {
        self.code().map_or(UNKNOWN_CODE, Code::message)
    }

    /// The text of `errorMessage`.
    pub fn message(&self) -> &str {
        match self {
            Error::Malformed(_, message) => message,
            Error::TooManyQueued(_) => {
                "The requester has too many queued operations. The Retry-After header tells when to try again; some must have ended by then."
            }
            Error::TooManyRows(_) => {
                "Too many rows would be deleted within an hour. The Retry-After header tells when this call can be sent again."
            }
            Error::Unauthenticated { .. }
            | Error::Refused(_)
            | Error::TooManyRequests(_)
            | Error::OverPortion(_)
            | Error::Unavailable(_)
            | Error::Defect(_) => self.title(),
        }
    }
}
