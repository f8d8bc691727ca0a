//! Reads the body of a call.

use std::future::{Ready, ready};
use std::rc::Rc;

use actix_web::error::PayloadError;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{self, Bytes, BytesMut};
use actix_web::{FromRequest, HttpRequest, dev};
use futures_util::{StreamExt, stream};
use tokio::time::timeout;

use super::id_list::parse_body;
use super::limits::BodyLimits;
use super::media_type;
use crate::error::{Code, Error};
use crate::http::admission::Admission;
use crate::http::call::Requester;
use crate::http::connections::Gate;
use crate::http::portions::Portion;
use crate::limits::COST_OF_BODY;
use crate::operation::TargetIds;

/// A larger body is parsed on another thread. 1,000 ids are 40 kB, and take a few hundred
/// microseconds.
const MAX_PARSED_HERE: usize = 64 * 1024;

/// The unit in which bodies are charged. The first 16 KiB are free. Each further 16 KiB takes
/// [`COST_OF_BODY`] times as much memory.
const CHARGE_UNIT: usize = 16 * 1024;

/// The body of a call. The connection gives the next piece once the one before was read.
pub struct Incoming {
    payload: dev::Payload,
    gate: Option<Rc<Gate>>,
}

impl FromRequest for Incoming {
    type Error = actix_web::Error;
    type Future = Ready<Result<Incoming, actix_web::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        ready(Ok(Incoming { payload: payload.take(), gate: request.conn_data::<Rc<Gate>>().cloned() }))
    }
}

impl Incoming {
    async fn next(&mut self) -> Option<Result<Bytes, PayloadError>> {
        if let Some(gate) = &self.gate {
            gate.read();
        }
        self.payload.next().await
    }
}

/// Returns `None` if the body or its list is empty.
pub async fn ids_of_body(
    headers: &HeaderMap,
    incoming: Incoming,
    limits: BodyLimits,
    room: &mut Room<'_>,
) -> Result<Option<TargetIds>, Error> {
    let body = read(headers, incoming, limits, room).await?;
    if body.is_empty() {
        return Ok(None);
    }
    media_type::require_json(headers)?;
    let is_long = body.len() > MAX_PARSED_HERE;
    let parse = move || parse_body(&body, limits.max_ids).map(TargetIds::new);
    if !is_long {
        return parse();
    }
    // If the client hangs up, the portions are held until the body is parsed.
    let portions = std::mem::take(&mut room.taken);
    let (ids, portions) =
        web::block(move || (parse(), portions)).await.map_err(|error| Error::Defect(error.to_string()))?;
    room.taken = portions;
    ids
}

/// Fails with 400 if the body does not arrive in time, and with 413 if it is too large.
pub async fn read(
    headers: &HeaderMap,
    incoming: Incoming,
    limits: BodyLimits,
    room: &mut Room<'_>,
) -> Result<Bytes, Error> {
    let read = timeout(limits.timeout, read_body(headers, incoming, limits.max_bytes, room)).await;
    read.unwrap_or_else(|_| {
        Err(Error::bad_request(format!("the body did not arrive completely within {:?}", limits.timeout)))
    })
}

async fn read_body(
    headers: &HeaderMap,
    mut incoming: Incoming,
    max_bytes: usize,
    room: &mut Room<'_>,
) -> Result<Bytes, Error> {
    let declared = declared_length(headers).unwrap_or_default();
    if declared > max_bytes {
        return Err(too_large(max_bytes));
    }
    room.declare(declared)?;
    let mut body = BytesMut::new();
    while let Some(chunk) = incoming.next().await {
        let chunk = chunk.map_err(|_| unreadable())?;
        if body.len() + chunk.len() > max_bytes {
            return Err(too_large(max_bytes));
        }
        room.take(body.len() + chunk.len())?;
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

pub fn too_large(max_bytes: usize) -> Error {
    Error::Malformed(Code::PAYLOAD_TOO_LARGE, format!("the body is larger than {max_bytes} bytes"))
}

/// Reads the body, which is not needed, while `work` runs. A malformed body ends the work: actix
/// closes the connection then, and sends only a response that is ready.
pub async fn beside_body<T>(mut incoming: Incoming, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let malformed = async {
        while let Some(chunk) = incoming.next().await {
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

/// Waits for `work`, and keeps the part of the body that the connection gives meanwhile: about
/// 16 KiB, or 512 bytes of a chunked body. If it is malformed, the work ends, as in
/// [`beside_body`].
pub async fn keeping_body<T>(
    body: &mut dev::Payload,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let mut arrived = BytesMut::new();
    let malformed = async {
        // A longer body waits in the connection.
        while arrived.len() < CHARGE_UNIT {
            match body.next().await {
                // Copied, because a client may send very many small pieces.
                Some(Ok(piece)) => arrived.extend_from_slice(&piece),
                Some(Err(_)) => return,
                None => break,
            }
        }
        std::future::pending().await
    };
    let done = tokio::select! {
        biased;
        done = work => done,
        () = malformed => Err(unreadable()),
    };
    if !arrived.is_empty() {
        let arrived = stream::once(ready(Ok(arrived.freeze())));
        *body = dev::Payload::Stream { payload: Box::pin(arrived.chain(body.take())) };
    }
    done
}

fn unreadable() -> Error {
    Error::bad_request("the body is truncated or malformed")
}

/// The room that a body takes in memory. A small one takes none.
pub struct Room<'a> {
    admission: &'a Admission,
    requester: Requester,
    /// A longer body needs one of the portions for large bodies.
    large_from: usize,
    taken: BodyPortions,
}

/// The portions that a body takes. They are held until the work has ended.
#[derive(Default)]
pub struct BodyPortions {
    large: Option<Portion>,
    memory: Option<Portion>,
}

impl<'a> Room<'a> {
    pub fn new(admission: &'a Admission, requester: Requester, large_from: usize) -> Room<'a> {
        Room { admission, requester, large_from, taken: BodyPortions::default() }
    }

    fn declare(&mut self, bytes: usize) -> Result<(), Error> {
        if bytes > self.large_from && self.taken.large.is_none() {
            self.taken.large = Some(self.admission.take_large_body(self.requester)?);
        }
        Ok(())
    }

    fn take(&mut self, bytes: usize) -> Result<(), Error> {
        self.declare(bytes)?;
        let memory = &mut self.taken.memory;
        while bytes > CHARGE_UNIT + memory.as_ref().map_or(0, Portion::units) / COST_OF_BODY {
            self.admission.take_body_memory(self.requester, memory, CHARGE_UNIT * COST_OF_BODY)?;
        }
        Ok(())
    }

    pub fn into_portions(self) -> BodyPortions {
        self.taken
    }
}

/// Returns `None` for a body in chunks.
fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
