//! Finds the requester and the actor of a call, in headers or a token.

mod actor;
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
mod token_scope;

use std::sync::Arc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, web};

pub use self::actor::SentActor;

use self::jwt::Verifier;
use self::token_scope::MissingTokenScopes;
use super::call::{Notes, Requester};
use super::connections::Connection;
use super::request::body::keeping_body;
use super::{Service, response};
use crate::config::{HeaderSource, RequesterSource, SettingsError};
use crate::error::Error;

/// Cheap to clone.
#[derive(Clone)]
pub enum Identification {
    Header(HeaderSource),
    Jwt(Arc<Verifier>),
}

impl Identification {
    /// Fails if a file with keys cannot be used. An issuer that does not answer is no error: it may
    /// recover.
    pub fn new(source: RequesterSource) -> Result<Identification, SettingsError> {
        Ok(match source {
            RequesterSource::Header(source) => {
                if let Some(everybody) = source.trusted_peers.iter().find(|network| network.prefix_len() == 0) {
                    tracing::warn!(
                        network = %everybody,
                        "every peer is trusted, so anybody who reaches the service can be any requester: \
                         set CUSTOMER_DELETION__REQUESTER__HEADER__TRUSTED_PEERS to the networks of the gateway"
                    );
                }
                Identification::Header(source)
            }
            RequesterSource::Jwt(source) => Identification::Jwt(Arc::new(Verifier::new(*source)?)),
        })
    }

    /// Refreshes the keys until its task is aborted.
    pub async fn keep_fresh(self) {
        match self {
            Identification::Header(_) => std::future::pending().await,
            Identification::Jwt(verifier) => verifier.keyring.keep_fresh().await,
        }
    }

    /// Fails with the reason if no requester could be found now.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Identification::Header(_) => Ok(()),
            Identification::Jwt(verifier) => verifier.keyring.check(),
        }
    }

    async fn requester(&self, request: &ServiceRequest) -> Result<(Requester, SentActor, MissingTokenScopes), Error> {
        match self {
            Identification::Header(source) => {
                let peer = request.peer_addr().map(|address| address.ip());
                let requester = header::requester(source, request.headers(), peer)?;
                let actor = source.actor_name.as_ref().map(|name| SentActor::from_header(request.headers(), name));
                Ok((requester, actor.unwrap_or(SentActor::NONE), MissingTokenScopes::default()))
            }
            Identification::Jwt(verifier) => {
                let (requester, actor, missing) = verifier.requester(request.headers()).await?;
                missing.check_any(request.method())?;
                Ok((requester, actor, missing))
            }
        }
    }
}

/// Gives the call its requester and its actor, or answers 401. Without any key for tokens, answers
/// 503.
pub async fn identify(
    service: web::Data<Service>,
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, actix_web::Error> {
    // Identification may wait for a key. Without a reader, a malformed body would end the connection
    // without an answer.
    let mut body = request.take_payload();
    let identified = keeping_body(&mut body, service.identification.requester(&request)).await;
    request.set_payload(body);
    let identified = identified.map(|(requester, actor, missing)| {
        Notes::of(request.request(), |notes| notes.requester_id.set(Some(requester.0)));
        if let Some(connection) = request.conn_data::<Arc<Connection>>() {
            connection.identified();
        }
        let mut extensions = request.extensions_mut();
        extensions.insert(requester);
        extensions.insert(actor);
        extensions.insert(missing);
    });
    response::pass_or_reject(request, next, identified).await
}

/// Answers 401 if the token does not have the token scope for this call. Every route below `/api` is
/// wrapped in it.
pub async fn check_token_scope(
    missing: web::ReqData<MissingTokenScopes>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, actix_web::Error> {
    let checked = missing.check(request.method());
    response::pass_or_reject(request, next, checked).await
}
