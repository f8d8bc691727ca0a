//! Reads the body of a call.

use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{self, Bytes, BytesMut, Payload};
use futures_util::StreamExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::id_list::parse_body;
use super::limits::BodyLimits;
use super::media_type;
use crate::error::{Code, Error};
use crate::http::admission::Admission;
use crate::operation::TargetIds;

/// A larger body is parsed on another thread. 1,000 ids are 40 kB, and take a few hundred microseconds.
const MAX_PARSED_HERE: usize = 64 * 1024;

/// Returns `None` if the body or its list is empty.
pub async fn ids_of_body(
    headers: &HeaderMap,
    payload: Payload,
    limits: BodyLimits,
    large_body: &mut LargeBody<'_>,
) -> Result<Option<TargetIds>, Error> {
    let body = match timeout(limits.timeout, read_body(headers, payload, limits.max_bytes, large_body)).await {
        Ok(body) => body?,
        Err(_) => {
            return Err(Error::bad_request(format!("the body did not come to its end in {:?}", limits.timeout)));
        }
    };
    if body.is_empty() {
        return Ok(None);
    }
    media_type::require_json(headers)?;
    let is_long = body.len() > MAX_PARSED_HERE;
    let parse = move || parse_body(&body, limits.max_ids).map(TargetIds::new);
    if is_long {
        return web::block(parse).await.unwrap_or_else(|error| Err(Error::Defect(error.to_string())));
    }
    parse()
}

async fn read_body(
    headers: &HeaderMap,
    mut payload: Payload,
    max_bytes: usize,
    large_body: &mut LargeBody<'_>,
) -> Result<Bytes, Error> {
    let declared = declared_length(headers).unwrap_or_default();
    if declared > max_bytes {
        return Err(too_large(max_bytes));
    }
    large_body.allow(declared)?;
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| unreadable())?;
        if body.len() + chunk.len() > max_bytes {
            return Err(too_large(max_bytes));
        }
        large_body.allow(body.len() + chunk.len())?;
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

pub fn too_large(max_bytes: usize) -> Error {
    Error::Malformed(Code::PAYLOAD_TOO_LARGE, format!("the body is larger than {max_bytes} bytes"))
}

/// Reads the body, which is not needed, while `work` runs. A malformed body ends the work: actix closes the connection then, and
/// sends only a response that is ready.
pub async fn beside_body<T>(mut payload: Payload, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let malformed = async {
        while let Some(chunk) = payload.next().await {
            if chunk.is_err() {
                return;
            }
        }
        std::future::pending().await
    };
    tokio::select! {
        biased;
        done = work => done,
        () = malformed => Err(unreadable()),
    }
}

fn unreadable() -> Error {
    Error::bad_request("the body is truncated or malformed")
}

/// Takes a permit when a body gets longer than `free_bytes`.
pub struct LargeBody<'a> {
    admission: &'a Admission,
    free_bytes: usize,
    permit: Option<OwnedSemaphorePermit>,
}

impl<'a> LargeBody<'a> {
    pub fn new(admission: &'a Admission, free_bytes: usize) -> LargeBody<'a> {
        LargeBody { admission, free_bytes, permit: None }
    }

    fn allow(&mut self, bytes: usize) -> Result<(), Error> {
        if bytes > self.free_bytes && self.permit.is_none() {
            self.permit = Some(self.admission.large_body_permit()?);
        }
        Ok(())
    }

    /// The permit is held until the work has ended.
    pub fn into_permit(self) -> Option<OwnedSemaphorePermit> {
        self.permit
    }
}

/// Returns `None` for a body in chunks.
fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
