//! `Idempotency-Key`: the same call sent again gets the recorded answer.

use actix_web::http::header::{HeaderMap, HeaderName};

use crate::error::Error;
use crate::operation::IdempotencyKey;

pub const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Marks a recorded answer.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

pub fn parse(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Error> {
    let mut values = headers.get_all(KEY);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Error::bad_request("Idempotency-Key was sent twice"));
    }
    let key = value.to_str().ok().and_then(IdempotencyKey::new);
    key.map(Some).ok_or_else(|| Error::bad_request("Idempotency-Key must be 1 to 255 visible ASCII characters"))
}
