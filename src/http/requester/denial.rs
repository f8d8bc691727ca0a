//! The answer to a call whose requester is unknown: 401, or 503 while there are no keys.

use std::borrow::Cow;

use actix_web::HttpResponse;
use actix_web::http::header::{HeaderValue, WWW_AUTHENTICATE};

use crate::error::Error;

#[derive(Debug)]
pub struct Denial {
    pub error: Error,
    /// Every 401 tells how a call is authenticated.
    pub challenge: Option<HeaderValue>,
}

impl Denial {
    pub fn unauthenticated(reason: impl Into<Cow<'static, str>>, challenge: HeaderValue) -> Denial {
        Denial { error: Error::Unauthenticated(reason.into()), challenge: Some(challenge) }
    }

    pub fn into_response(self) -> HttpResponse {
        let mut response = HttpResponse::from_error(self.error);
        if let Some(challenge) = self.challenge {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
