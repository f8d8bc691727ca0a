//! Who is calling. Everything under `/api/` asks this first.

mod claims;
mod discovery;
mod ed25519;
mod header;
mod jwk;
mod jwt;
mod keyring;
mod keys;
mod reader;
mod token;

use std::borrow::Cow;
use std::future::{Ready, ready};
use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue, WWW_AUTHENTICATE};
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, web};
use ipnet::IpNet;
use uuid::Uuid;

use self::jwt::Verifier;
use super::report::Notes;
use super::{Service, answer};
use crate::config::{RequesterSource, SettingsError};
use crate::error::Error;

/// The customer for whom the call is authenticated. A handler that takes one cannot be reached without.
#[derive(Clone, Copy)]
pub struct Requester(pub Uuid);

impl FromRequest for Requester {
    type Error = Error;
    type Future = Ready<Result<Requester, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let requester = request.extensions().get::<Requester>().copied();
        ready(requester.ok_or_else(|| Error::Defect("a route without identification".to_owned())))
    }
}

/// How the requester of a call is found. Cheap to clone.
#[derive(Clone)]
pub enum Identification {
    Header { name: HeaderName, trusted_peers: Vec<IpNet> },
    Jwt(Arc<Verifier>),
}

impl Identification {
    /// # Errors
    ///
    /// When a file with keys cannot be used. An issuer that does not answer is no error: it may come back.
    pub fn new(source: RequesterSource) -> Result<Identification, SettingsError> {
        Ok(match source {
            RequesterSource::Header { name, trusted_peers } => {
                if let Some(everybody) = trusted_peers.iter().find(|network| network.prefix_len() == 0) {
                    tracing::warn!(network = %everybody, "every peer is trusted: whoever reaches the service can be any requester");
                }
                Identification::Header { name, trusted_peers }
            }
            RequesterSource::Jwt(source) => Identification::Jwt(Arc::new(Verifier::new(*source)?)),
        })
    }

    /// Reads the keys again and again, and never ends.
    pub async fn keep_fresh(self) {
        match self {
            Identification::Header { .. } => std::future::pending().await,
            Identification::Jwt(verifier) => verifier.keyring.keep_fresh().await,
        }
    }

    /// Whether a requester could be found now; if not, why.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Identification::Header { .. } => Ok(()),
            Identification::Jwt(verifier) => verifier.keyring.check(),
        }
    }

    async fn requester(&self, request: &ServiceRequest) -> Result<Requester, Denial> {
        match self {
            Identification::Header { name, trusted_peers } => {
                let peer = request.peer_addr().map(|address| address.ip());
                header::from_header(request.headers(), name, peer, trusted_peers)
            }
            Identification::Jwt(verifier) => verifier.requester(request.headers()).await,
        }
    }
}

/// Why a call has no requester.
#[derive(Debug)]
pub struct Denial {
    error: Error,
    /// Every 401 tells how a call is authenticated.
    challenge: Option<HeaderValue>,
}

impl Denial {
    fn unauthenticated(reason: impl Into<Cow<'static, str>>, challenge: HeaderValue) -> Denial {
        Denial { error: Error::Unauthenticated(reason.into()), challenge: Some(challenge) }
    }

    fn into_response(self) -> HttpResponse {
        let mut response = HttpResponse::from_error(self.error);
        if let Some(challenge) = self.challenge {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// Lets a call through with its requester, or answers 401.
pub async fn identify(
    service: web::Data<Service>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, actix_web::Error> {
    match service.identification.requester(&request).await {
        Ok(requester) => {
            if let Some(notes) = request.extensions().get::<Rc<Notes>>() {
                notes.requester_id.set(Some(requester.0));
            }
            request.extensions_mut().insert(requester);
            next.call(request).await.map(ServiceResponse::map_into_left_body)
        }
        Err(denial) => Ok(answer::refuse(request, denial.into_response())),
    }
}
