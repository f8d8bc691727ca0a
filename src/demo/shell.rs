//! Environment variables that the demo uses, and those that it drops.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::config::SettingsError;

/// Replaces this process by one without libpq's variables, which would affect the private server
/// and the connections to it. Returns if there are none, or with an error.
pub fn drop_libpq_variables() -> io::Result<()> {
    let names: Vec<OsString> =
        env::vars_os().map(|(name, _)| name).filter(|name| name.as_bytes().starts_with(b"PG")).collect();
    if names.is_empty() {
        return Ok(());
    }
    let mut command = Command::new(env::current_exe()?);
    command.args(env::args_os().skip(1));
    for name in names {
        command.env_remove(name);
    }
    Err(command.exec())
}

/// The port of a setting, like `http.port`. `None` if its variable is not set.
pub fn port(path: &str) -> Result<Option<u16>, SettingsError> {
    let error = SettingsError::new(path, "must be a port from 0 to 65535");
    match env::var_os(&error.setting).filter(|value| !value.is_empty()) {
        Some(value) => value.to_str().and_then(|value| value.parse().ok()).map(Some).ok_or(error),
        None => Ok(None),
    }
}
