//! Who is calling: which source is set, and whether all that it needs is there.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::str::FromStr;

use actix_web::http::header::HeaderName;
use ipnet::IpNet;
use serde::Deserialize;

use super::{Jwt, JwtSource, SettingsError};

/// Who is calling.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Requester {
    /// `header` or `jwt`; required.
    pub source: Option<String>,
    /// Calls a second that one requester may send to this replica; as many as it likes when not set.
    pub rate_per_second: Option<NonZeroU32>,
    /// How many of them may come at once; as many as come in a second when not set.
    pub rate_burst: Option<NonZeroU32>,
    pub header: Header,
    pub jwt: Jwt,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Header {
    pub name: String,
    /// CIDRs, comma-separated; required for the source `header`.
    pub trusted_peers: String,
}

impl Default for Header {
    fn default() -> Header {
        Header { name: "X-Requester-Id".to_owned(), trusted_peers: String::new() }
    }
}

/// Where the requester of a call comes from.
#[derive(Clone, Debug)]
pub enum RequesterSource {
    /// A header, believed only from these peers.
    Header { name: HeaderName, trusted_peers: Vec<IpNet> },
    /// A signed token.
    Jwt(Box<JwtSource>),
}

impl Requester {
    /// Whether the requester is in a token.
    pub fn is_jwt(&self) -> bool {
        self.source.as_deref() == Some("jwt")
    }

    /// Where the requester comes from.
    pub fn source(&self) -> Result<RequesterSource, SettingsError> {
        let refuse = |problem: String| Err(SettingsError::new("requester.source", problem));
        match self.source.as_deref() {
            Some("header") => self.header.source(),
            Some("jwt") => self.jwt.source().map(|source| RequesterSource::Jwt(Box::new(source))),
            Some(other) => refuse(format!("must be `header` or `jwt`, and is `{other}`")),
            None => refuse("is not set; it must be `header` or `jwt`, and tells who names the requester".to_owned()),
        }
    }
}

impl Header {
    fn source(&self) -> Result<RequesterSource, SettingsError> {
        let name = HeaderName::from_str(&self.name).map_err(|_| {
            SettingsError::new("requester.header.name", format!("`{}` is not a header name", self.name))
        })?;
        let refuse = |problem: String| Err(SettingsError::new("requester.header.trusted_peers", problem));
        let mut trusted_peers = Vec::new();
        for peer in self.trusted_peers.split(',').map(str::trim).filter(|peer| !peer.is_empty()) {
            match IpNet::from_str(peer).or_else(|error| IpAddr::from_str(peer).map(IpNet::from).map_err(|_| error)) {
                // A peer that comes so is looked at as the IPv4 address that it is.
                Ok(IpNet::V6(network)) if network.network().to_ipv4_mapped().is_some() => {
                    return refuse(format!("`{peer}` is a network of IPv4: write it like 10.0.0.0/8"));
                }
                Ok(network) => trusted_peers.push(network),
                Err(_) => return refuse(format!("`{peer}` is not a network like 10.0.0.0/8")),
            }
        }
        if trusted_peers.is_empty() {
            return refuse("is not set; it must list the networks of the gateway, like 10.0.0.0/8".to_owned());
        }
        Ok(RequesterSource::Header { name, trusted_peers })
    }
}
