//! The requester in a header that the gateway sets.

use std::net::IpAddr;

use actix_web::http::header::HeaderMap;

use crate::config::HeaderSource;
use crate::error::Error;
use crate::http::call::Requester;
use crate::http::request::id::parse_id;

/// The gateway authenticates the call. No registered scheme describes that.
const CHALLENGE: &str = "Gateway realm=\"customer-deletion\"";

/// Accepts the header from a trusted peer only.
pub fn requester(source: &HeaderSource, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<Requester, Error> {
    // A server that listens on IPv6 sees an IPv4 peer as ::ffff:10.0.0.1.
    let peer = peer.map(|peer| peer.to_canonical());
    if !peer.is_some_and(|peer| source.trusted_peers.iter().any(|network| network.contains(&peer))) {
        return Err(denial("the peer is not trusted"));
    }
    let mut values = headers.get_all(&source.name);
    let value = values.next().ok_or_else(|| denial("the requester header is missing"))?;
    if values.next().is_some() {
        return Err(denial("the requester header was sent twice"));
    }
    value.to_str().ok().and_then(parse_id).map(Requester).ok_or_else(|| denial("the requester header is not a UUID"))
}

fn denial(reason: &'static str) -> Error {
    Error::unauthenticated(reason, CHALLENGE)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};
    use uuid::Uuid;

    use super::*;

    const NAME: HeaderName = HeaderName::from_static("x-requester-id");
    const ID: &str = "6f2c5d1e-3b7a-4c19-9e8d-1a2b3c4d5e6f";

    fn identify(values: &[&'static str], peer: &str) -> Result<Uuid, String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(NAME, HeaderValue::from_static(value));
        }
        let trusted_peers = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap()).to_vec();
        let source = HeaderSource { name: NAME, actor_name: None, trusted_peers };
        super::requester(&source, &headers, Some(peer.parse().unwrap())).map(|requester| requester.0).map_err(|error| {
            match error {
                Error::Unauthenticated { reason, .. } => reason.into_owned(),
                other => panic!("{other}"),
            }
        })
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
            assert_eq!(identify(&[ID], peer), Err("the peer is not trusted".to_owned()), "{peer}");
        }
    }

    #[test]
    fn a_header_that_is_missing_doubled_or_malformed_is_refused() {
        let refusal = |values: &[&'static str]| identify(values, "10.0.0.1").unwrap_err();
        assert_eq!(refusal(&[]), "the requester header is missing");
        assert_eq!(refusal(&[ID, ID]), "the requester header was sent twice");
        for value in ["", "me", "6f2c5d1e3b7a4c199e8d1a2b3c4d5e6f", "{6f2c5d1e-3b7a-4c19-9e8d-1a2b3c4d5e6f}"] {
            assert_eq!(refusal(&[value]), "the requester header is not a UUID", "{value}");
        }
    }
}
