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

/// A body of 1,000 ids has 40 kB, and is read in a few hundred microseconds.
const LONGEST_READ_AT_ONCE: usize = 64 * 1024;

/// None where there is no body, or an empty list in it.
pub async fn ids_of_body(
    headers: &HeaderMap,
    payload: Payload,
    limits: BodyLimits,
    room: &mut Room<'_>,
) -> Result<Option<TargetIds>, Error> {
    let body = match timeout(limits.timeout, read_body(headers, payload, limits.max_bytes, room)).await {
        Ok(body) => body?,
        Err(_) => {
            return Err(Error::bad_request(format!("the body did not come to its end in {:?}", limits.timeout)));
        }
    };
    if body.is_empty() {
        return Ok(None);
    }
    media_type::require_json(headers)?;
    let is_long = body.len() > LONGEST_READ_AT_ONCE;
    let parse = move || parse_body(&body, limits.max_ids).map(TargetIds::new);
    // The thread that serves calls has others to serve meanwhile.
    if is_long {
        return web::block(parse).await.unwrap_or_else(|error| Err(Error::Defect(error.to_string())));
    }
    parse()
}

async fn read_body(
    headers: &HeaderMap,
    mut payload: Payload,
    max_bytes: usize,
    room: &mut Room<'_>,
) -> Result<Bytes, Error> {
    let declared = declared_length(headers).unwrap_or_default();
    if declared > max_bytes {
        return Err(too_large(max_bytes));
    }
    room.make(declared)?;
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| unreadable())?;
        if body.len() + chunk.len() > max_bytes {
            return Err(too_large(max_bytes));
        }
        room.make(body.len() + chunk.len())?;
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// The answer to a body over the limit.
pub fn too_large(max_bytes: usize) -> Error {
    Error::Malformed(Code::PAYLOAD_TOO_LARGE, format!("the body is larger than {max_bytes} bytes"))
}

/// Does the work of a call that has no use for a body, unless its body turns out to be malformed meanwhile. The library then
/// closes the connection, and an answer that is not there at once never is.
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
    Error::bad_request("the body could not be read to its end")
}

/// What a body needs that gets longer than those of calls that wait for their outcome.
pub struct Room<'a> {
    admission: &'a Admission,
    /// How long a body may be without it.
    free_bytes: usize,
    permit: Option<OwnedSemaphorePermit>,
}

impl<'a> Room<'a> {
    pub fn new(admission: &'a Admission, free_bytes: usize) -> Room<'a> {
        Room { admission, free_bytes, permit: None }
    }

    fn make(&mut self, bytes: usize) -> Result<(), Error> {
        if bytes > self.free_bytes && self.permit.is_none() {
            self.permit = Some(self.admission.large_body_permit()?);
        }
        Ok(())
    }

    /// The permit, to be held until the work has ended.
    pub fn into_permit(self) -> Option<OwnedSemaphorePermit> {
        self.permit
    }
}

/// None for a body in chunks, whose length shows at its end.
fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
