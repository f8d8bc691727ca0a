//! Reads the environment and the file, and names what cannot be read.

use config::{Config, ConfigError, Environment, File, FileFormat};

use super::{FILE_VARIABLE, PREFIX, Settings, SettingsError};

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
