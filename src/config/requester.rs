//! The section `[requester]`. [`super::jwt`] has its subsection for tokens.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::str::FromStr;

use actix_web::http::header::HeaderName;
use ipnet::IpNet;
use serde::Deserialize;

use super::{JwtSettings, JwtSource, SettingsError};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequesterSettings {
    /// `header` or `jwt`.
    pub source: Option<String>,
    pub rate_per_second: Option<NonZeroU32>,
    pub rate_burst: Option<NonZeroU32>,
    pub deleted_rows_per_hour: Option<NonZeroU32>,
    pub header: HeaderSettings,
    pub jwt: JwtSettings,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderSettings {
    pub name: String,
    pub actor_name: Option<String>,
    /// CIDRs, separated by commas.
    pub trusted_peers: String,
}

/// The source of a call's requester.
#[derive(Clone, Debug)]
pub enum RequesterSource {
    Header(HeaderSource),
    /// A signed token.
    Jwt(Box<JwtSource>),
}

/// A header, accepted only from these peers. With `actor_name`, a second one names the actor.
#[derive(Clone, Debug)]
pub struct HeaderSource {
    pub name: HeaderName,
    pub actor_name: Option<HeaderName>,
    pub trusted_peers: Vec<IpNet>,
}

impl RequesterSettings {
    pub fn is_jwt(&self) -> bool {
        self.source.as_deref() == Some("jwt")
    }

    /// # Errors
    ///
    /// The source is missing or unknown, or a setting that it needs is missing or invalid.
    pub fn source(&self) -> Result<RequesterSource, SettingsError> {
        let refuse = |problem: String| Err(SettingsError::new("requester.source", problem));
        match self.source.as_deref() {
            Some("header") => self.header.source().map(RequesterSource::Header),
            Some("jwt") => self.jwt.source().map(|source| RequesterSource::Jwt(Box::new(source))),
            Some(other) => refuse(format!("must be `header` or `jwt`, and is `{other}`")),
            None => refuse("is not set; it must be `header` or `jwt`".to_owned()),
        }
    }
}

impl HeaderSettings {
    fn source(&self) -> Result<HeaderSource, SettingsError> {
        let name = header_name("requester.header.name", &self.name)?;
        let actor_name = self.actor_name.as_deref().map(|name| header_name(ACTOR_NAME, name)).transpose()?;
        if actor_name.as_ref() == Some(&name) {
            return Err(SettingsError::new(ACTOR_NAME, "must not be the header that names the requester"));
        }
        let refuse = |problem: String| Err(SettingsError::new("requester.header.trusted_peers", problem));
        let mut trusted_peers = Vec::new();
        for peer in self.trusted_peers.split(',').map(str::trim).filter(|peer| !peer.is_empty()) {
            match IpNet::from_str(peer).or_else(|error| IpAddr::from_str(peer).map(IpNet::from).map_err(|_| error)) {
                // Such a peer is compared as an IPv4 address, so this network would match nobody.
                Ok(IpNet::V6(network)) if network.network().to_ipv4_mapped().is_some() => {
                    return refuse(format!("`{peer}` is a network of IPv4; write it like 10.0.0.0/8"));
                }
                Ok(network) => trusted_peers.push(network),
                Err(_) => return refuse(format!("`{peer}` is not a network like 10.0.0.0/8")),
            }
        }
        if trusted_peers.is_empty() {
            return refuse("is not set; it must list the networks of the gateway, like 10.0.0.0/8".to_owned());
        }
        Ok(HeaderSource { name, actor_name, trusted_peers })
    }
}

const ACTOR_NAME: &str = "requester.header.actor_name";

fn header_name(path: &str, name: &str) -> Result<HeaderName, SettingsError> {
    HeaderName::from_str(name).map_err(|_| SettingsError::new(path, format!("`{name}` is not a header name")))
}
