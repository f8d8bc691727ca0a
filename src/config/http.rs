//! The section `[http]`.

use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;

use super::{AllowedHosts, SettingsError, milliseconds};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSettings {
    pub host: IpAddr,
    pub port: u16,
    pub allowed_hosts: Option<String>,
    pub allowed_origins: String,
    pub max_body_bytes: usize,
    #[serde(rename = "body_timeout_ms", deserialize_with = "milliseconds")]
    pub body_timeout: Duration,
    #[serde(rename = "keep_alive_ms", deserialize_with = "milliseconds")]
    pub keep_alive: Duration,
    pub max_in_flight: usize,
    pub max_connections: Option<usize>,
    pub drain_seconds: u64,
}

impl HttpSettings {
    /// `None` if calls may name any host.
    pub fn allowed_hosts(&self) -> Result<Option<AllowedHosts>, SettingsError> {
        self.allowed_hosts.as_deref().map(AllowedHosts::parse).transpose()
    }
}
