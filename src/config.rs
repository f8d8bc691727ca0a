//! Settings, from the environment and an optional file, with the defaults beside each field.
//!
//! `CUSTOMER_DELETION__HTTP__PORT` in the environment is `port` in the section `[http]` of the file, a TOML file that
//! `CUSTOMER_DELETION_CONFIG` names. The environment wins.

mod connection;
mod hosts;
mod jwt;
mod migration;
mod origins;
mod queue;
mod reading;
mod requester;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use sqlx::postgres::PgConnectOptions;

pub use self::connection::Environment;
pub use self::hosts::AllowedHosts;
pub use self::jwt::{Jwt, JwtSource, KeySource, RequiredClaim, WAIT_FOR_KEY, published_url};
pub use self::migration::Migration;
pub use self::origins::AllowedOrigins;
pub use self::queue::Queue;
pub use self::requester::{Header, Requester, RequesterSource};

const PREFIX: &str = "CUSTOMER_DELETION";

/// The environment variable that names the file.
pub const FILE_VARIABLE: &str = "CUSTOMER_DELETION_CONFIG";

/// Everything that can be set.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub database: Database,
    pub http: Http,
    pub management: Management,
    pub requester: Requester,
    pub deletion: Deletion,
    pub queue: Queue,
    pub migration: Migration,
    pub log: Log,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `postgres://user:password@host:port/database`; required. `DATABASE_URL` is another name for it.
    pub url: Option<SecretString>,
    /// The variables of PostgreSQL that say what the URL leaves open.
    #[serde(skip)]
    pub environment: Environment,
    /// Whether the service may connect as a superuser or as the owner of the tables, who can do far more than it needs.
    pub allow_owner: bool,
    /// Connections of the pool. A few keep PostgreSQL busier than many.
    pub max_connections: u32,
    /// How long a call waits for a connection.
    #[serde(rename = "acquire_timeout_ms", deserialize_with = "milliseconds")]
    pub acquire_timeout: Duration,
    /// How long a statement waits for one lock; PostgreSQL ends it then.
    #[serde(rename = "lock_timeout_ms", deserialize_with = "milliseconds")]
    pub lock_timeout: Duration,
    /// How long a statement may take; PostgreSQL ends it then.
    #[serde(rename = "statement_timeout_ms", deserialize_with = "milliseconds")]
    pub statement_timeout: Duration,
    /// How long all the database work of a call may take, waits and retries included.
    #[serde(rename = "deadline_ms", deserialize_with = "milliseconds")]
    pub deadline: Duration,
    /// The source of a session's own settings.
    pub session_settings: SessionSettings,
    /// Whether deletions that wait for a connection are done several at a time, in one statement.
    pub share_statements: bool,
}

/// Where the settings of a session of PostgreSQL come from: how it plans, and how long it waits.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum SessionSettings {
    /// The service sends them when it connects.
    Sent,
    /// The role has them, because a pooler in between would not pass them on. The service checks that they are there.
    Given,
}

impl Default for Database {
    fn default() -> Database {
        Database {
            url: None,
            environment: Environment::default(),
            allow_owner: false,
            max_connections: 8,
            acquire_timeout: Duration::from_millis(2000),
            lock_timeout: Duration::from_millis(1500),
            statement_timeout: Duration::from_millis(2000),
            deadline: Duration::from_millis(2500),
            session_settings: SessionSettings::Sent,
            share_statements: true,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    pub host: IpAddr,
    pub port: u16,
    /// The hosts that calls may name in `Host`, separated by commas. Any if it is not set.
    pub allowed_hosts: Option<String>,
    /// Threads that serve calls. One serves thousands of calls a second; a second one mostly wakes the first.
    pub workers: usize,
    /// The largest body, in bytes.
    pub max_body_bytes: usize,
    /// How long a body may take to come. A stalled client would hold what it sent so far in memory.
    #[serde(rename = "body_timeout_ms", deserialize_with = "milliseconds")]
    pub body_timeout: Duration,
    /// How long a connection may be idle. Longer than the 60 s of common gateways, so that the gateway is the one to close it
    /// and never sends a call into a connection that is being closed here.
    #[serde(rename = "keep_alive_ms", deserialize_with = "milliseconds")]
    pub keep_alive: Duration,
    /// Calls that may be worked on at once. One more is answered 503 at once.
    pub max_in_flight: usize,
    /// Connections that may be open at once. One more waits to be accepted.
    pub max_connections: usize,
    /// How long calls in flight may take to end after SIGTERM; at least as long as a call may wait.
    pub drain_seconds: u64,
    /// Origins whose web pages may call, comma-separated. Empty: none.
    pub allowed_origins: String,
}

impl Http {
    /// `None` if calls may name any host.
    pub fn allowed_hosts(&self) -> Result<Option<AllowedHosts>, SettingsError> {
        self.allowed_hosts.as_deref().map(AllowedHosts::parse).transpose()
    }
}

impl Default for Http {
    fn default() -> Http {
        Http {
            host: ANY_ADDRESS,
            port: 8080,
            allowed_hosts: None,
            workers: 1,
            max_body_bytes: 1024 * 1024,
            body_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            max_in_flight: 128,
            max_connections: 1024,
            drain_seconds: 15,
            allowed_origins: String::new(),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Management {
    pub host: IpAddr,
    pub port: u16,
}

impl Default for Management {
    fn default() -> Management {
        Management { host: ANY_ADDRESS, port: 8081 }
    }
}

/// What is far more than any machine has use for, and less than the libraries can bear.
const MOST_WORKERS: usize = 1024;
const MOST_IN_FLIGHT: usize = 100_000;
const MOST_CONNECTIONS: usize = 1_000_000;
const MOST_DATABASE_CONNECTIONS: u32 = 10_000;

/// How long a call may wait in all, once its head is read.
const LONGEST_CALL: Duration = Duration::from_secs(20);

const ANY_ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Deletion {
    /// The longest list of ids in a body.
    pub max_ids: usize,
}

impl Default for Deletion {
    fn default() -> Deletion {
        Deletion { max_ids: 1000 }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    pub format: LogFormat,
    /// A level, or directives like `info,sqlx=debug`.
    pub level: String,
}

/// The service says itself, and less often, that the certificate of an issuer is not believed.
const DEFAULT_LEVEL: &str = "info,actix_server=warn,rustls_platform_verifier=off";

impl Default for Log {
    fn default() -> Log {
        Log { format: LogFormat::Json, level: DEFAULT_LEVEL.to_owned() }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// A setting that stops the start. Its text names the environment variable.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{setting}: {problem}")]
pub struct SettingsError {
    pub setting: String,
    pub problem: String,
}

impl SettingsError {
    /// About a setting by its path, like `http.port`.
    pub fn new(path: &str, problem: impl Into<String>) -> SettingsError {
        SettingsError { setting: variable(path), problem: problem.into() }
    }
}

/// `http.port` as the name of its environment variable.
fn variable(path: &str) -> String {
    let path = if path == "." { "" } else { path };
    path.split('.')
        .filter(|part| !part.is_empty())
        .fold(PREFIX.to_owned(), |name, part| format!("{name}__{}", part.to_uppercase()))
}

impl Settings {
    /// Refuses what cannot work together.
    fn validate(&self) -> Result<(), SettingsError> {
        self.validate_numbers()?;
        self.validate_waits()?;
        self.migration.validate()?;
        self.queue.validate()?;
        if self.requester.rate_burst.is_some() && self.requester.rate_per_second.is_none() {
            let problem = format!("is of no use without {}", variable("requester.rate_per_second"));
            return Err(SettingsError::new("requester.rate_burst", problem));
        }
        Ok(())
    }

    fn validate_numbers(&self) -> Result<(), SettingsError> {
        let (http, database) = (&self.http, &self.database);
        for (path, value, most) in [
            ("database.max_connections", database.max_connections as usize, MOST_DATABASE_CONNECTIONS as usize),
            ("http.max_body_bytes", http.max_body_bytes, usize::MAX),
            ("http.max_in_flight", http.max_in_flight, MOST_IN_FLIGHT),
            ("http.max_connections", http.max_connections, MOST_CONNECTIONS),
            ("http.workers", http.workers, MOST_WORKERS),
            ("deletion.max_ids", self.deletion.max_ids, usize::MAX),
        ] {
            if value == 0 {
                return Err(SettingsError::new(path, "must be at least 1"));
            }
            if value > most {
                return Err(SettingsError::new(path, format!("must be at most {most}")));
            }
        }
        Ok(())
    }

    /// A wait that is longer than the one around it never gets to say why it ended.
    fn validate_waits(&self) -> Result<(), SettingsError> {
        let database = &self.database;
        let lock = ("database.lock_timeout_ms", database.lock_timeout);
        let acquire = ("database.acquire_timeout_ms", database.acquire_timeout);
        let statement = ("database.statement_timeout_ms", database.statement_timeout);
        let deadline = ("database.deadline_ms", database.deadline);
        for [(inner, inner_wait), (outer, outer_wait)] in
            [[lock, statement], [statement, deadline], [acquire, deadline]]
        {
            if inner_wait.is_zero() || inner_wait >= outer_wait {
                let problem = format!("must be more than 0 and less than {}", variable(outer));
                return Err(SettingsError::new(inner, problem));
            }
        }
        if self.http.keep_alive.is_zero() {
            return Err(SettingsError::new("http.keep_alive_ms", "must be more than 0"));
        }
        let longest_call = self.longest_call();
        if self.http.body_timeout.is_zero() || longest_call > LONGEST_CALL {
            let problem = format!(
                "must be more than 0, and with {}{} no more than {LONGEST_CALL:?}: gateways give up after 29s",
                variable(deadline.0),
                if self.requester.is_jwt() { format!(" and the {WAIT_FOR_KEY:?} for a key") } else { String::new() },
            );
            return Err(SettingsError::new("http.body_timeout_ms", problem));
        }
        if Duration::from_secs(self.http.drain_seconds) < longest_call {
            let least = longest_call.as_millis().div_ceil(1000);
            let problem = format!("must be at least {least}, which is how long a call may wait");
            return Err(SettingsError::new("http.drain_seconds", problem));
        }
        Ok(())
    }

    /// All the waits of a call after its head, one after the other.
    fn longest_call(&self) -> Duration {
        let wait_for_key = if self.requester.is_jwt() { WAIT_FOR_KEY } else { Duration::ZERO };
        wait_for_key + self.http.body_timeout + self.database.deadline
    }
}

impl Database {
    /// How to connect to the database.
    pub fn connect_options(&self) -> Result<PgConnectOptions, SettingsError> {
        let Some(url) = &self.url else {
            let problem = format!("is not set; it, or DATABASE_URL, must be {}", connection::FORM);
            return Err(SettingsError::new("database.url", problem));
        };
        connection::options(url.expose_secret(), &self.environment)
    }
}

fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_secs)
}
