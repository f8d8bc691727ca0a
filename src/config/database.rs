//! The section `[database]`.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sqlx::postgres::PgConnectOptions;

use super::{Environment, Settings, SettingsError, connection, milliseconds};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSettings {
    pub url: Option<SecretString>,
    /// libpq's variables. They count for what the URL leaves open.
    #[serde(skip)]
    pub environment: Environment,
    pub allow_owner: bool,
    pub max_connections: u32,
    #[serde(rename = "deadline_ms", deserialize_with = "milliseconds")]
    pub deadline: Duration,
    pub session_settings: SessionSettings,
    pub share_statements: bool,
}

/// The source of a session's own settings: how it plans, and how long it waits.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum SessionSettings {
    /// The service sends them when it connects.
    Sent,
    /// The role has them, and the service checks that they are there.
    Given,
}

impl Default for DatabaseSettings {
    fn default() -> DatabaseSettings {
        Settings::default().database
    }
}

/// Each wait is shorter than the one around it, so that it ends first and its reason is reported.
impl DatabaseSettings {
    /// The longest wait of a call for a connection.
    pub fn acquire_timeout(&self) -> Duration {
        self.deadline * 4 / 5
    }

    /// The longest duration of a statement. PostgreSQL ends it.
    pub fn statement_timeout(&self) -> Duration {
        self.deadline * 4 / 5
    }

    /// The longest wait of a statement for one lock. PostgreSQL ends it.
    pub fn lock_timeout(&self) -> Duration {
        self.deadline * 3 / 5
    }

    /// The longest wait of an accepted operation for one lock. It is shorter than a call's, so a
    /// call that waits behind the operation outlasts it.
    pub fn operation_lock_timeout(&self) -> Duration {
        self.deadline * 2 / 5
    }

    /// Fails if the URL or a variable of libpq is missing, invalid or not supported.
    pub fn connect_options(&self) -> Result<PgConnectOptions, SettingsError> {
        let Some(url) = &self.url else {
            let problem = format!("is not set; it, or DATABASE_URL, must be {}", connection::FORM);
            return Err(SettingsError::new("database.url", problem));
        };
        connection::options(url.expose_secret(), &self.environment)
    }
}
