//! Settings, from the environment and an optional file. `config/settings.toml` describes each, and
//! is the source of the defaults.

mod connection;
mod database;
mod hosts;
mod jwt;
mod origins;
mod ranges;
mod reading;
mod requester;
#[cfg(test)]
mod settings_file_tests;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

pub use self::connection::Environment;
pub use self::database::{DatabaseSettings, SessionSettings};
pub use self::hosts::AllowedHosts;
pub use self::jwt::{
    JwtSettings, JwtSource, KeySource, LEEWAY, RequiredClaim, TokenScopes, WAIT_FOR_KEY, published_url,
};
pub use self::origins::AllowedOrigins;
pub use self::requester::{HeaderSettings, HeaderSource, RequesterSettings, RequesterSource};

/// Every setting with its default. `settings` prints it, and [`Settings`] reads the defaults from
/// it.
pub const SETTINGS_FILE: &str = include_str!("config/settings.toml");

const PREFIX: &str = "CUSTOMER_DELETION";

/// The environment variable that names the file.
pub const FILE_VARIABLE: &str = "CUSTOMER_DELETION_CONFIG";

/// The sections of the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub database: DatabaseSettings,
    pub http: HttpSettings,
    pub management: ManagementSettings,
    pub requester: RequesterSettings,
    pub deletion: DeletionSettings,
    pub queue: QueueSettings,
    pub migration: MigrationSettings,
    pub log: LogSettings,
}

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

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManagementSettings {
    pub host: IpAddr,
    pub port: u16,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeletionSettings {
    pub max_ids: usize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueSettings {
    pub workers: usize,
    pub max_ids: usize,
    pub max_body_bytes: usize,
    pub max_operations: u32,
    #[serde(rename = "run_timeout_seconds", deserialize_with = "seconds")]
    pub run_timeout: Duration,
    pub max_attempts: i32,
    /// The time after which another attempt may take a leased operation. Not a setting; some tests
    /// shorten it.
    #[serde(skip, default = "lease")]
    pub lease: Duration,
}

fn lease() -> Duration {
    Duration::from_secs(15)
}

impl Default for QueueSettings {
    fn default() -> QueueSettings {
        Settings::default().queue
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MigrationSettings {
    #[serde(rename = "patience_seconds", deserialize_with = "seconds")]
    pub patience: Duration,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    pub format: LogFormat,
    pub level: String,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Lines for people.
    Text,
}

/// A missing or invalid setting. It stops the start, and its message names the environment
/// variable.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{setting}: {problem}")]
pub struct SettingsError {
    pub setting: String,
    pub problem: String,
}

impl SettingsError {
    /// `path` is like `http.port`.
    pub fn new(path: &str, problem: impl Into<String>) -> SettingsError {
        SettingsError { setting: variable(path), problem: problem.into() }
    }
}

/// The environment variable of a path like `http.port`.
fn variable(path: &str) -> String {
    let path = if path == "." { "" } else { path };
    path.split('.')
        .filter(|part| !part.is_empty())
        .fold(PREFIX.to_owned(), |name, part| format!("{name}__{}", part.to_uppercase()))
}

fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_secs)
}
