//! The version of the PostgreSQL server, and sessions without time limits.

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};

use crate::sqlstate;

/// The oldest major version of PostgreSQL on which every migration and statement works.
pub const OLDEST_MAJOR: u32 = 15;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the server is {found}, and this service needs PostgreSQL {OLDEST_MAJOR} or newer")]
pub struct TooOld {
    found: String,
}

/// Parameters of a session that older servers do not know, and the version that brought each.
const NEWER_PARAMETERS: [(&str, u32); 3] =
    [("idle_session_timeout", 14), ("plan_cache_mode", 12), ("tcp_user_timeout", 12)];

impl TooOld {
    /// An older server refuses a session with a parameter that it does not know, before it tells
    /// its version.
    pub fn of(error: &sqlx::Error) -> Option<TooOld> {
        let refusal = error.as_database_error().filter(|_| sqlstate::is_one_of(error, &["42704"]))?;
        // The message may be translated, and the name is quoted in one way or another.
        let is_named = |(name, _): &&(&str, u32)| refusal.message().contains(name);
        NEWER_PARAMETERS
            .iter()
            .find(is_named)
            .map(|(_, major)| TooOld { found: format!("older than PostgreSQL {major}") })
    }
}

/// Checks a version in the form of `server_version_num`: 150012 is 15.12.
fn check_version(number: u32) -> Result<(), TooOld> {
    let (major, rest) = (number / 10_000, number % 10_000);
    if major >= OLDEST_MAJOR {
        return Ok(());
    }
    // 90624 is 9.6.24.
    let minor = if major >= 10 { rest } else { rest / 100 };
    Err(TooOld { found: format!("PostgreSQL {major}.{minor}") })
}

/// Refuses a server that is too old. It has sent its version at the start of the session.
pub fn require_version(session: &PgConnection) -> Result<(), TooOld> {
    // A pooler may send no version. An old server behind it is noticed by the first statement that
    // it does not know.
    session.server_version_num().map_or(Ok(()), check_version)
}

/// Time limits of a role or a database.
const NO_TIMEOUTS: [(&str, &str); 3] =
    [("statement_timeout", "0"), ("idle_in_transaction_session_timeout", "0"), ("idle_session_timeout", "0")];

/// Options of a session without limits. [`lift_transaction_timeout`] removes the last one.
pub fn without_limits(options: PgConnectOptions) -> PgConnectOptions {
    options.options(NO_TIMEOUTS)
}

/// Opens a session of a command, without a limit for a transaction. Refuses a server that is too
/// old.
pub async fn connect<E>(options: &PgConnectOptions) -> Result<PgConnection, E>
where
    E: From<sqlx::Error> + From<TooOld>,
{
    let mut session =
        options.connect().await.map_err(|error| TooOld::of(&error).map_or_else(|| E::from(error), E::from))?;
    require_version(&session)?;
    lift_transaction_timeout(&mut session).await?;
    Ok(session)
}

/// Removes the time limit of transactions. Statements have limits of their own.
///
/// The limit exists since PostgreSQL 17. An older server refuses a session with this option.
pub async fn lift_transaction_timeout(session: &mut PgConnection) -> sqlx::Result<()> {
    if session.server_version_num().is_some_and(|number| number < 170_000) {
        return Ok(());
    }
    // pg_settings would tell as well whether a setting exists. In a new session it takes 50 times
    // as long.
    let lift = "select set_config('transaction_timeout', '0', false)
        where current_setting('transaction_timeout', true) is not null";
    sqlx::raw_sql(lift).execute(session).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_must_be_new_enough() {
        for (number, refused) in [
            (90_624, Some("9.6")),
            (130_022, Some("13.22")),
            (140_009, Some("14.9")),
            (150_000, None),
            (150_012, None),
            (170_002, None),
            (180_000, None),
            (190_000, None),
        ] {
            let expected = refused.map(|found| {
                format!("the server is PostgreSQL {found}, and this service needs PostgreSQL 15 or newer")
            });
            assert_eq!(check_version(number).err().map(|error| error.to_string()), expected, "{number}");
        }
    }

    #[test]
    fn the_documentation_states_the_versions_that_are_checked() {
        let readme = include_str!("../../README.md");
        assert!(readme.contains(&format!("PostgreSQL {OLDEST_MAJOR} or newer")));
        assert!(readme.contains(&format!("Rust {} or newer", env!("CARGO_PKG_RUST_VERSION"))));
    }
}
