//! Settings, from the environment and an optional file, with the defaults beside each field.
//!
//! `CUSTOMER_DELETION__HTTP__PORT` in the environment is `port` in the section `[http]` of the file, a TOML file that
//! `CUSTOMER_DELETION_CONFIG` names. The environment wins.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use actix_web::http::header::HeaderName;
use config::{Config, ConfigError, Environment, File, FileFormat};
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use sqlx::postgres::PgConnectOptions;

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
    pub log: Log,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `postgres://user:password@host:port/database`; required. `DATABASE_URL` is another name for it.
    pub url: Option<SecretString>,
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
}

impl Default for Database {
    fn default() -> Database {
        Database {
            url: None,
            max_connections: 8,
            acquire_timeout: Duration::from_millis(2000),
            lock_timeout: Duration::from_millis(1500),
            statement_timeout: Duration::from_millis(2000),
            deadline: Duration::from_millis(2500),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    pub host: IpAddr,
    pub port: u16,
    /// Threads that serve calls; as many as there are cores when not set.
    pub workers: Option<usize>,
    /// The largest body, in bytes.
    pub max_body_bytes: usize,
    /// How long a body may take to come. A stalled client would hold what it sent so far in memory.
    #[serde(rename = "body_timeout_ms", deserialize_with = "milliseconds")]
    pub body_timeout: Duration,
    /// How long calls in flight may take to end after SIGTERM.
    pub drain_seconds: u64,
}

impl Default for Http {
    fn default() -> Http {
        Http {
            host: ANY_ADDRESS,
            port: 8080,
            workers: None,
            max_body_bytes: 1024 * 1024,
            body_timeout: Duration::from_secs(10),
            drain_seconds: 10,
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

/// More threads than any machine has cores.
const MOST_WORKERS: usize = 1024;

const ANY_ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

/// Who is calling.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Requester {
    /// `header`; required.
    pub source: Option<String>,
    pub header: Header,
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

impl Default for Log {
    fn default() -> Log {
        Log { format: LogFormat::Json, level: "info,actix_server=warn".to_owned() }
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

/// Where the requester of a call comes from.
#[derive(Clone, Debug)]
pub enum RequesterSource {
    /// A header, believed only from these peers.
    Header { name: HeaderName, trusted_peers: Vec<IpNet> },
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
    /// Reads the environment of this process, and the file that it names.
    pub fn load() -> Result<Settings, SettingsError> {
        let mut environment = config::Map::new();
        for (name, value) in std::env::vars_os() {
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => drop(environment.insert(name, value)),
                (Ok(setting), Err(_)) if setting.starts_with(PREFIX) => {
                    return Err(SettingsError { setting, problem: "is not UTF-8".to_owned() });
                }
                // Somebody else's.
                _ => {}
            }
        }
        Settings::from_environment(environment)
    }

    /// Reads an environment given as a map.
    pub fn from_environment(environment: config::Map<String, String>) -> Result<Settings, SettingsError> {
        let file = environment.get(FILE_VARIABLE).cloned();
        let url = environment.get("DATABASE_URL").filter(|url| !url.is_empty()).cloned();
        let variables = Environment::with_prefix(PREFIX)
            .prefix_separator("__")
            .separator("__")
            .ignore_empty(true)
            .source(Some(environment));

        let mut builder = Config::builder();
        if let Some(url) = url {
            builder = builder.set_default("database.url", url).map_err(unreadable)?;
        }
        if let Some(file) = &file {
            builder = builder.add_source(File::new(file, FileFormat::Toml));
        }
        let sources = builder.add_source(variables).build().map_err(|error| match &file {
            Some(file) => SettingsError {
                setting: FILE_VARIABLE.to_owned(),
                problem: format!("{file} cannot be read: {}", without_quotes(&error.to_string())),
            },
            None => unreadable(error),
        })?;

        let settings: Settings = serde_path_to_error::deserialize(sources).map_err(|error| {
            let path = error.path().to_string();
            SettingsError::new(&path, plain(error.into_inner()))
        })?;
        settings.validate()?;
        Ok(settings)
    }

    fn validate(&self) -> Result<(), SettingsError> {
        let database = &self.database;
        let positive = [
            ("database.max_connections", u64::from(database.max_connections)),
            ("http.max_body_bytes", self.http.max_body_bytes as u64),
            ("http.workers", self.http.workers.unwrap_or(1) as u64),
            ("deletion.max_ids", self.deletion.max_ids as u64),
        ];
        for (path, value) in positive {
            if value == 0 {
                return Err(SettingsError::new(path, "must be at least 1"));
            }
        }
        if self.http.workers.is_some_and(|workers| workers > MOST_WORKERS) {
            return Err(SettingsError::new("http.workers", format!("must be at most {MOST_WORKERS}")));
        }
        // A wait that is longer than the one around it never gets to say why it ended.
        let waits = [
            ("database.lock_timeout_ms", database.lock_timeout),
            ("database.statement_timeout_ms", database.statement_timeout),
            ("database.deadline_ms", database.deadline),
        ];
        for [(inner, inner_wait), (outer, outer_wait)] in [[waits[0], waits[1]], [waits[1], waits[2]]] {
            if inner_wait.is_zero() || inner_wait >= outer_wait {
                let problem = format!("must be more than 0 and less than {}", variable(outer));
                return Err(SettingsError::new(inner, problem));
            }
        }
        if database.acquire_timeout.is_zero() || database.acquire_timeout >= database.deadline {
            let problem = format!("must be more than 0 and less than {}", variable("database.deadline_ms"));
            return Err(SettingsError::new("database.acquire_timeout_ms", problem));
        }
        Ok(())
    }
}

impl Database {
    /// Where the database is.
    pub fn connect_options(&self) -> Result<PgConnectOptions, SettingsError> {
        let refuse = |problem: &str| Err(SettingsError::new("database.url", problem));
        let Some(url) = &self.url else {
            return refuse("is not set; it, or DATABASE_URL, must be postgres://user:password@host:port/database");
        };
        // The parser's own message could quote a part of the password.
        PgConnectOptions::from_str(url.expose_secret())
            .or_else(|_| refuse("is not of the form postgres://user:password@host:port/database"))
    }
}

impl Requester {
    /// Where the requester comes from.
    pub fn source(&self) -> Result<RequesterSource, SettingsError> {
        match self.source.as_deref() {
            Some("header") => self.header.source(),
            Some(other) => Err(SettingsError::new("requester.source", format!("must be `header`, and is `{other}`"))),
            None => Err(SettingsError::new(
                "requester.source",
                "is not set; it must be `header`, and tells how the gateway names the requester",
            )),
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

fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}

fn unreadable(error: ConfigError) -> SettingsError {
    SettingsError { setting: PREFIX.to_owned(), problem: plain(error) }
}

/// The message without the library's own name for the key, which is not the one that people set.
fn plain(error: ConfigError) -> String {
    match error {
        ConfigError::Type { unexpected, expected, .. } => {
            let found = unexpected.to_string();
            // A database's URL under the name of another setting is not shown: it has a password in it.
            let found = if found.contains("://") { "a URL" } else { &found };
            format!("must be {expected}, and is {found}")
        }
        ConfigError::At { error, .. } => plain(*error),
        other => other.to_string(),
    }
}

/// The parser of the file quotes the line that it does not understand, whatever secret is in it: the lines with a bar.
fn without_quotes(message: &str) -> String {
    let lines = message.lines().map(str::trim).filter(|line| !line.is_empty() && !line.contains('|'));
    lines.collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings::from_environment(environment)
    }

    fn refusal(variables: &[(&str, &str)]) -> String {
        load(variables).unwrap_err().to_string()
    }

    #[test]
    fn nothing_set_gives_the_defaults() {
        let settings = load(&[]).unwrap();
        assert_eq!(settings.http.port, 8080);
        assert_eq!(settings.management.port, 8081);
        assert_eq!(settings.deletion.max_ids, 1000);
        assert_eq!(settings.http.max_body_bytes, 1_048_576);
    }

    #[test]
    fn the_environment_is_read() {
        let settings = load(&[
            ("CUSTOMER_DELETION__HTTP__PORT", "9000"),
            ("CUSTOMER_DELETION__DATABASE__LOCK_TIMEOUT_MS", "700"),
            ("CUSTOMER_DELETION__REQUESTER__HEADER__NAME", "X-Customer"),
        ])
        .unwrap();
        assert_eq!(settings.http.port, 9000);
        assert_eq!(settings.database.lock_timeout, Duration::from_millis(700));
        assert_eq!(settings.requester.header.name, "X-Customer");
    }

    #[test]
    fn a_bad_value_is_named() {
        let message = refusal(&[("CUSTOMER_DELETION__HTTP__PORT", "eighty")]);
        assert!(message.starts_with("CUSTOMER_DELETION__HTTP__PORT: "), "{message}");
        assert!(message.contains("eighty"), "{message}");
    }

    #[test]
    fn a_misspelt_setting_is_named() {
        let message = refusal(&[("CUSTOMER_DELETION__HTTP__PROT", "8080")]);
        assert!(message.starts_with("CUSTOMER_DELETION__HTTP"), "{message}");
        assert!(message.contains("prot"), "{message}");
    }

    #[test]
    fn a_zero_is_named() {
        let message = refusal(&[("CUSTOMER_DELETION__DELETION__MAX_IDS", "0")]);
        assert_eq!(message, "CUSTOMER_DELETION__DELETION__MAX_IDS: must be at least 1");
    }

    #[test]
    fn waits_must_nest() {
        let message = refusal(&[("CUSTOMER_DELETION__DATABASE__STATEMENT_TIMEOUT_MS", "3000")]);
        assert_eq!(
            message,
            "CUSTOMER_DELETION__DATABASE__STATEMENT_TIMEOUT_MS: must be more than 0 and less than \
             CUSTOMER_DELETION__DATABASE__DEADLINE_MS"
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let message = refusal(&[("CUSTOMER_DELETION_CONFIG", "/nowhere/settings.toml")]);
        assert!(message.starts_with("CUSTOMER_DELETION_CONFIG: /nowhere/settings.toml"), "{message}");
    }

    #[test]
    fn a_line_of_the_file_that_is_not_understood_is_not_shown() {
        let file = std::env::temp_dir().join(format!("customer-deletion-{}.toml", uuid::Uuid::now_v7()));
        std::fs::write(&file, "[database]\nurl = \"postgres://me:hunter2@here/there\" x\n").unwrap();
        let message = refusal(&[("CUSTOMER_DELETION_CONFIG", file.to_str().unwrap())]);
        std::fs::remove_file(&file).unwrap();
        assert!(message.contains("line 2") && !message.contains("hunter2"), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");

        let misplaced = refusal(&[("CUSTOMER_DELETION__HTTP__PORT", "postgres://me:hunter2@here/there")]);
        assert!(!misplaced.contains("hunter2"), "{misplaced}");
    }

    #[test]
    fn database_url_is_another_name_and_gives_way() {
        let own = ("CUSTOMER_DELETION__DATABASE__URL", "postgres://own@localhost/own");
        let common = ("DATABASE_URL", "postgres://common@localhost/common");
        let database = |variables: &[_]| {
            let options = load(variables).unwrap().database.connect_options().unwrap();
            options.get_database().unwrap().to_owned()
        };
        assert_eq!(database(&[common]), "common");
        assert_eq!(database(&[common, own]), "own");
    }

    #[test]
    fn a_missing_database_is_named() {
        let error = load(&[]).unwrap().database.connect_options().unwrap_err();
        assert!(error.to_string().starts_with("CUSTOMER_DELETION__DATABASE__URL: is not set"), "{error}");
    }

    #[test]
    fn a_bad_database_url_does_not_show_its_password() {
        let settings = load(&[("DATABASE_URL", "postgres//me:hunter2@here")]).unwrap();
        let error = settings.database.connect_options().unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn without_a_requester_source_there_is_no_start() {
        let error = load(&[]).unwrap().requester.source().unwrap_err();
        assert!(error.to_string().starts_with("CUSTOMER_DELETION__REQUESTER__SOURCE: is not set"), "{error}");
    }

    #[test]
    fn the_header_source_needs_its_trusted_peers() {
        let source = ("CUSTOMER_DELETION__REQUESTER__SOURCE", "header");
        let error = load(&[source]).unwrap().requester.source().unwrap_err();
        assert!(
            error.to_string().starts_with("CUSTOMER_DELETION__REQUESTER__HEADER__TRUSTED_PEERS: is not set"),
            "{error}"
        );

        let peers = ("CUSTOMER_DELETION__REQUESTER__HEADER__TRUSTED_PEERS", "10.0.0.0/8, ::1, nonsense");
        let error = load(&[source, peers]).unwrap().requester.source().unwrap_err();
        assert_eq!(
            error.to_string(),
            "CUSTOMER_DELETION__REQUESTER__HEADER__TRUSTED_PEERS: `nonsense` is not a network like 10.0.0.0/8"
        );
    }
}
