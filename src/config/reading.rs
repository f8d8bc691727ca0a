//! Reads the environment and the file, and names what cannot be read.

use config::{Config, ConfigError, File, FileFormat, Value, ValueKind};

use super::{Environment, FILE_VARIABLE, PREFIX, SETTINGS_FILE, Settings, SettingsError, variable};

/// Settings that switch a check on. An empty value is refused, because it would switch the check
/// off.
const CHECKS: [&str; 6] = [
    "http.allowed_hosts",
    "requester.jwt.issuer",
    "requester.jwt.audience",
    "requester.jwt.scope_read",
    "requester.jwt.scope_delete",
    "requester.jwt.required_claims",
];

impl Default for Settings {
    fn default() -> Settings {
        let defaults = Config::builder().add_source(File::from_str(SETTINGS_FILE, FileFormat::Toml)).build();
        defaults.and_then(Config::try_deserialize).expect("a test reads the file")
    }
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
                // A variable of another program.
                _ => {}
            }
        }
        let mut settings = Settings::from_environment(environment)?;
        settings.database.environment = Environment::of_this_process();
        Ok(settings)
    }

    /// Reads an environment given as a map.
    pub fn from_environment(environment: config::Map<String, String>) -> Result<Settings, SettingsError> {
        refuse_misspelt_prefix(&environment)?;
        let file = environment.get(FILE_VARIABLE).map(|file| file.trim().to_owned());
        let empty_checks: Vec<_> = CHECKS.into_iter().filter(|path| is_empty(&environment, path)).collect();
        let own_url = environment
            .iter()
            .any(|(name, url)| !url.is_empty() && name.eq_ignore_ascii_case(&variable("database.url")));
        let url = environment.get("DATABASE_URL").filter(|url| !own_url && !url.is_empty()).cloned();
        let variables = config::Environment::with_prefix(PREFIX)
            .prefix_separator("__")
            .separator("__")
            .ignore_empty(true)
            .source(Some(environment));

        let mut builder = Config::builder().add_source(File::from_str(SETTINGS_FILE, FileFormat::Toml));
        if let Some(url) = url {
            // `DATABASE_URL` comes from the environment, which wins over the file.
            builder = builder.set_override("database.url", url).map_err(unreadable)?;
        }
        if let Some(file) = &file {
            builder = builder.add_source(File::new(file, FileFormat::Toml));
        }
        for path in empty_checks {
            builder = builder.set_override(path, "").map_err(unreadable)?;
        }
        let mut sources = builder.add_source(variables).build().map_err(|error| match &file {
            Some(file) => SettingsError {
                setting: FILE_VARIABLE.to_owned(),
                problem: format!("{file} cannot be read: {}", without_quotes(&error.to_string())),
            },
            None => unreadable(error),
        })?;
        trim(&mut sources.cache);

        let settings: Settings = serde_path_to_error::deserialize(sources).map_err(|error| {
            let path = error.path().to_string();
            SettingsError::new(&path, plain(error.into_inner()))
        })?;
        settings.validate()?;
        Ok(settings)
    }
}

/// Refuses a name with one underscore after the prefix instead of two. A name without two anywhere
/// is not meant for this program: Kubernetes sets `CUSTOMER_DELETION_PORT` and its like for a
/// Service of that name.
fn refuse_misspelt_prefix(environment: &config::Map<String, String>) -> Result<(), SettingsError> {
    let misspelt = |name: &&String| {
        let name = name.to_uppercase();
        let rest = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('_'));
        rest.is_some_and(|rest| !rest.starts_with('_') && rest.contains("__"))
    };
    match environment.keys().filter(misspelt).min() {
        Some(name) => {
            let problem = format!("is not a setting: their names begin with {PREFIX}__, with two underscores");
            Err(SettingsError { setting: name.clone(), problem })
        }
        None => Ok(()),
    }
}

/// A mounted secret ends with a line feed. No setting has a meaning for white space around it.
fn trim(value: &mut Value) {
    match &mut value.kind {
        ValueKind::String(text) => *text = text.trim().to_owned(),
        ValueKind::Table(table) => table.values_mut().for_each(trim),
        ValueKind::Array(values) => values.iter_mut().for_each(trim),
        _ => {}
    }
}

/// Whether the environment has the setting, with an empty value.
fn is_empty(environment: &config::Map<String, String>, path: &str) -> bool {
    let name = variable(path);
    environment.iter().any(|(key, value)| value.is_empty() && key.eq_ignore_ascii_case(&name))
}

fn unreadable(error: ConfigError) -> SettingsError {
    SettingsError { setting: PREFIX.to_owned(), problem: plain(error) }
}

/// The message without the key, which the library names in another way than the variable.
fn plain(error: ConfigError) -> String {
    match error {
        ConfigError::Type { unexpected, expected, .. } => {
            let found = unexpected.to_string();
            // The URL of the database, under the name of another setting, would show its password.
            let found = if found.contains("://") { "a URL" } else { &found };
            format!("must be {expected}, and is {found}")
        }
        ConfigError::At { error, .. } => plain(*error),
        other => other.to_string(),
    }
}

/// The message without the lines with a bar. They quote the line of the file that is invalid, and
/// it may have a secret.
fn without_quotes(message: &str) -> String {
    let lines = message.lines().map(str::trim).filter(|line| !line.is_empty() && !line.contains('|'));
    lines.collect::<Vec<_>>().join(": ")
}
