//! Who is calling. Everything under `/api/` asks this first.

use std::future::{Ready, ready};
use std::net::IpAddr;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use ipnet::IpNet;
use uuid::Uuid;

use super::{Service, answer, target};
use crate::config::RequesterSource;
use crate::error::Error;

/// The customer for whom the gateway authenticated the call. A handler that takes one cannot be reached without.
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

/// Lets a call through with its requester, or answers 401.
pub async fn identify(
    service: web::Data<Service>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, actix_web::Error> {
    let requester = match &service.requester {
        RequesterSource::Header { name, trusted_peers } => {
            let peer = request.peer_addr().map(|address| address.ip());
            from_header(request.headers(), name, peer, trusted_peers)
        }
    };
    match requester {
        Ok(requester) => {
            request.extensions_mut().insert(requester);
            next.call(request).await.map(ServiceResponse::map_into_left_body)
        }
        Err(error) => Ok(answer::refuse(request, error)),
    }
}

fn from_header(
    headers: &HeaderMap,
    name: &HeaderName,
    peer: Option<IpAddr>,
    trusted_peers: &[IpNet],
) -> Result<Requester, Error> {
    // A server that listens on IPv6 sees an IPv4 peer as ::ffff:10.0.0.1.
    let peer = peer.map(|peer| peer.to_canonical());
    if !peer.is_some_and(|peer| trusted_peers.iter().any(|network| network.contains(&peer))) {
        return Err(Error::Unauthenticated("the peer is not a trusted one"));
    }
    let mut values = headers.get_all(name);
    let value = values.next().ok_or(Error::Unauthenticated("there is no requester header"))?;
    if values.next().is_some() {
        return Err(Error::Unauthenticated("the requester header was sent twice"));
    }
    value
        .to_str()
        .ok()
        .and_then(target::parse_id)
        .map(Requester)
        .ok_or(Error::Unauthenticated("the requester header is not a UUID"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    const NAME: HeaderName = HeaderName::from_static("x-requester-id");
    const ID: &str = "6f2c5d1e-3b7a-4c19-9e8d-1a2b3c4d5e6f";

    fn identify(values: &[&'static str], peer: &str) -> Result<Uuid, &'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(NAME, HeaderValue::from_static(value));
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        from_header(&headers, &NAME, Some(peer.parse().unwrap()), &trusted).map(|requester| requester.0).map_err(
            |error| match error {
                Error::Unauthenticated(reason) => reason,
                other => panic!("{other}"),
            },
        )
    }

    #[test]
    fn a_trusted_peer_is_believed() {
        for peer in ["10.1.2.3", "::ffff:10.1.2.3", "fd00::1"] {
            assert_eq!(identify(&[ID], peer).unwrap().to_string(), ID, "{peer}");
        }
    }

    #[test]
    fn another_peer_is_not_believed() {
        for peer in ["11.1.2.3", "127.0.0.1", "::1", "::ffff:11.1.2.3"] {
            assert_eq!(identify(&[ID], peer), Err("the peer is not a trusted one"), "{peer}");
        }
    }

    #[test]
    fn a_header_that_is_missing_doubled_or_malformed_is_refused() {
        assert_eq!(identify(&[], "10.0.0.1"), Err("there is no requester header"));
        assert_eq!(identify(&[ID, ID], "10.0.0.1"), Err("the requester header was sent twice"));
        for value in ["", "me", "6f2c5d1e3b7a4c199e8d1a2b3c4d5e6f", "{6f2c5d1e-3b7a-4c19-9e8d-1a2b3c4d5e6f}"] {
            assert_eq!(identify(&[value], "10.0.0.1"), Err("the requester header is not a UUID"), "{value}");
        }
    }
}
