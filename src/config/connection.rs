//! The connection to PostgreSQL: the URL and libpq's variables, like `PGHOST`.
//!
//! sqlx can read both, but it ignores parameters that it does not know, replaces invalid values by
//! defaults, and logs values. So they are read here. Every parameter is honoured or refused by its
//! name, and sqlx receives the honoured ones. No message shows a value.

mod environment;
mod parameters;
mod passfile;
#[cfg(test)]
mod tests;
mod url;

use std::collections::BTreeMap;
use std::path::Path;

use reqwest::Url;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

pub use self::environment::Environment;
pub use self::url::FORM;

use self::parameters::PARAMETERS;
use super::SettingsError;

/// The connection that the URL asks for. A variable counts only if the URL does not set its
/// parameter. An error names the parameter, and the setting or variable that it came from.
pub fn options(url: &str, environment: &Environment) -> Result<PgConnectOptions, SettingsError> {
    let mut given = Given::default();
    for (name, value) in url::parameters(url).map_err(|problem| SettingsError::new("database.url", problem))? {
        given.0.insert(name, Value { text: value, source: Source::Url });
    }
    given.add_variables(environment)?;
    given.check_values()?;
    given.check_address()?;
    given.check_encryption()?;
    given.look_up_password(environment)?;
    given.into_options()
}

/// The given parameters, by libpq's names.
#[derive(Default)]
struct Given(BTreeMap<&'static str, Value>);

struct Value {
    text: String,
    source: Source,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Url,
    Variable(&'static str),
}

impl Source {
    /// An error that names the setting or variable which the operator set.
    fn error(self, name: &str, problem: &str) -> SettingsError {
        match self {
            Source::Url => SettingsError::new("database.url", format!("`{name}` {problem}")),
            Source::Variable(variable) => SettingsError { setting: variable.to_owned(), problem: problem.to_owned() },
        }
    }
}

impl Given {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.text.as_str())
    }

    fn refuse<T>(&self, name: &str, problem: &str) -> Result<T, SettingsError> {
        Err(self.0.get(name).map_or(Source::Url, |value| value.source).error(name, problem))
    }

    /// Adds the variables whose parameters are not in the URL.
    fn add_variables(&mut self, environment: &Environment) -> Result<(), SettingsError> {
        environment.refuse_misspelt(self.text("sslmode") == Some("disable"))?;
        for parameter in PARAMETERS {
            let Some(variable) = parameter.variable.filter(|_| !self.0.contains_key(parameter.name)) else { continue };
            let Some(value) = environment.get(variable) else { continue };
            let source = Source::Variable(variable);
            let Some(text) = value.to_str() else { return Err(source.error(parameter.name, "is not UTF-8")) };
            self.0.insert(parameter.name, Value { text: text.to_owned(), source });
        }
        Ok(())
    }

    fn check_values(&self) -> Result<(), SettingsError> {
        for parameter in PARAMETERS {
            if let Some(text) = self.text(parameter.name)
                && let Err(problem) = parameter.check(text)
            {
                return self.refuse(parameter.name, &problem);
            }
        }
        Ok(())
    }

    /// A missing host or user is most often an empty variable of a template. It must not mean this
    /// machine or this user.
    fn check_address(&self) -> Result<(), SettingsError> {
        match (self.text("host"), self.text("hostaddr")) {
            (Some(_), Some(_)) => return self.refuse("hostaddr", "is set beside a host; remove one of them"),
            (None, None) => return self.refuse_missing("host", "PGHOST"),
            (Some(_), None) | (None, Some(_)) => {}
        }
        if self.text("user").is_none() { self.refuse_missing("user", "PGUSER") } else { Ok(()) }
    }

    fn refuse_missing(&self, name: &str, variable: &str) -> Result<(), SettingsError> {
        let problem = format!("has no {name}, and {variable} is not set; it must be {}", url::FORM);
        Err(SettingsError::new("database.url", problem))
    }

    fn is_socket(&self) -> bool {
        self.text("host").is_some_and(|host| host.starts_with('/'))
    }

    /// Refuses certificates that the sslmode would ignore.
    fn check_encryption(&self) -> Result<(), SettingsError> {
        let mode = self.text("sslmode").unwrap_or("prefer");
        let is_required = !matches!(mode, "disable" | "prefer");
        if is_required && self.is_socket() {
            return self.refuse("sslmode", "asks for TLS, which a socket does not have; it must be `disable`");
        }
        for (name, mark) in [("sslrootcert", "CERTIFICATE"), ("sslcert", "CERTIFICATE"), ("sslkey", "PRIVATE KEY")] {
            let Some(value) = self.0.get(name) else { continue };
            if mode == "disable" && value.source != Source::Url {
                continue;
            }
            if !is_required {
                return self.refuse(name, "is used only with an sslmode of `require`, `verify-ca` or `verify-full`");
            }
            if let Err(problem) = check_pem(value, mark) {
                return self.refuse(name, &problem);
            }
        }
        match (self.text("sslcert"), self.text("sslkey")) {
            (Some(_), None) => self.refuse("sslcert", "is set without sslkey"),
            (None, Some(_)) => self.refuse("sslkey", "is set without sslcert"),
            (Some(_), Some(_)) | (None, None) => Ok(()),
        }
    }

    /// Reads the password file if no password is given.
    fn look_up_password(&mut self, environment: &Environment) -> Result<(), SettingsError> {
        if self.0.contains_key("password") {
            return Ok(());
        }
        let usual = environment.get("HOME").map(|home| Path::new(home).join(".pgpass")).filter(|path| path.exists());
        let found = match (self.text("passfile"), usual) {
            (Some(path), _) => passfile::find(Path::new(path), self.entry())
                .or_else(|problem| self.refuse("passfile", &format!("names a file that {problem}")))?,
            (None, Some(path)) => passfile::find(&path, self.entry())
                .map_err(|problem| SettingsError { setting: "~/.pgpass".to_owned(), problem })?,
            (None, None) => None,
        };
        if let Some(text) = found {
            self.0.insert("password", Value { text, source: Source::Variable("PGPASSFILE") });
        }
        Ok(())
    }

    /// Host, port, database and user, in the order of a password file.
    fn entry(&self) -> [&str; 4] {
        let user = self.text("user").unwrap_or_default();
        let host = self.text("host").or(self.text("hostaddr")).unwrap_or_default();
        [host, self.text("port").unwrap_or(DEFAULT_PORT), self.text("dbname").unwrap_or(user), user]
    }

    /// Connects with these parameters. sqlx itself reads the variables for `sslrootcert`, `sslcert`,
    /// `sslkey` and `options`.
    fn into_options(self) -> Result<PgConnectOptions, SettingsError> {
        let mut url = Url::parse("postgres://").expect("a scheme alone is a URL");
        let mut pairs = url.query_pairs_mut();
        // Without a password, sqlx would read the password file, and log lines of it. So an empty
        // one is set too.
        pairs.append_pair("password", self.text("password").unwrap_or_default());
        pairs.append_pair("port", self.text("port").unwrap_or(DEFAULT_PORT));
        pairs.append_pair("sslmode", self.mode());
        for name in ["host", "hostaddr", "user", "dbname", "statement-cache-capacity"] {
            if let Some(text) = self.text(name) {
                pairs.append_pair(name, text);
            }
        }
        // sqlx reads the variables of these itself, and PGOPTIONS even if the URL has options.
        for name in ["sslrootcert", "sslcert", "sslkey", "options"] {
            if let Some(Value { text, source: Source::Url }) = self.0.get(name) {
                pairs.append_pair(name, text);
            }
        }
        drop(pairs);
        PgConnectOptions::from_url(&url)
            .map_err(|_| SettingsError::new("database.url", format!("must be {}", url::FORM)))
    }

    /// With `require`, sqlx ignores the given authority. libpq checks it, as with `verify-ca`.
    fn mode(&self) -> &str {
        match self.text("sslmode") {
            Some("require") if self.0.contains_key("sslrootcert") => "verify-ca",
            Some(mode) => mode,
            None => "prefer",
        }
    }
}

const DEFAULT_PORT: &str = "5432";

/// Checks a file, or its content, which sqlx accepts in a variable but not in the URL.
fn check_pem(value: &Value, mark: &str) -> Result<(), String> {
    if value.text == "system" {
        return Err("is not supported as `system`: remove it, and public authorities are trusted".to_owned());
    }
    let is_content = value.source != Source::Url && value.text.trim_start().starts_with("-----BEGIN");
    let file = if is_content { Ok(value.text.clone()) } else { std::fs::read_to_string(&value.text) };
    let content = file.map_err(|error| format!("names a file that cannot be read: {error}"))?;
    let is_marked = |line: &str| line.starts_with("-----BEGIN") && line.contains(mark) && !line.contains("ENCRYPTED");
    if content.lines().any(is_marked) { Ok(()) } else { Err(format!("has no `{mark}` of the format PEM in it")) }
}
