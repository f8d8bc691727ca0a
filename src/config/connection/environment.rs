//! libpq's variables, and `HOME`, the folder of its password file.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;

use super::parameters::PARAMETERS;
use crate::config::SettingsError;

/// Empty unless it is read from a process. A service that a test starts inside its own process must
/// not use the variables of that process.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, OsString>);

impl Environment {
    pub fn of_this_process() -> Environment {
        let named = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        Environment(named.filter(|(name, _)| name.starts_with("PG") || name == "HOME").collect())
    }

    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(name).map(OsString::as_os_str).filter(|value| !value.is_empty() || name == "PGSSLMODE")
    }

    /// Refuses an unknown variable with a prefix of libpq's: it is misspelt. Variables for TLS are
    /// skipped if TLS is off.
    pub fn refuse_misspelt(&self, is_without_tls: bool) -> Result<(), SettingsError> {
        let is_known = |name: &str| PARAMETERS.iter().any(|parameter| parameter.variable == Some(name));
        let begins = |name: &str, prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
        let is_like_one = |name: &str| {
            begins(name, &["PGREQUIRE", "PGCHANNEL", "PGTARGET", "PGGSSENC", "PGGSSDEL"])
                || (!is_without_tls && begins(name, &["PGSSL"]))
        };
        match self.0.keys().find(|name| is_like_one(name) && !is_known(name)) {
            Some(name) => {
                let problem = "is not a supported variable of PostgreSQL: correct its name, or remove it";
                Err(SettingsError { setting: name.clone(), problem: problem.to_owned() })
            }
            None => Ok(()),
        }
    }
}

/// Shows the names only: PGPASSWORD is one of them.
impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
impl<const N: usize, T: Into<OsString>> From<[(&str, T); N]> for Environment {
    fn from(variables: [(&str, T); N]) -> Environment {
        Environment(variables.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
    }
}
