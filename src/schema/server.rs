//! The version of the PostgreSQL server, and sessions that the server does not end by itself.

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};

/// The oldest major version of PostgreSQL on which every migration and statement works.
pub const OLDEST_MAJOR: u32 = 15;

/// A server that is older than that.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the server is PostgreSQL {found}, and this service needs PostgreSQL {OLDEST_MAJOR} or newer")]
pub struct TooOld {
    found: String,
}

/// Judges a version as `server_version_num` has it: 150012 is 15.12.
fn check_version(number: u32) -> Result<(), TooOld> {
    let (major, rest) = (number / 10_000, number % 10_000);
    if major >= OLDEST_MAJOR {
        return Ok(());
    }
    // 90624 is 9.6.24.
    let minor = if major >= 10 { rest } else { rest / 100 };
    Err(TooOld { found: format!("{major}.{minor}") })
}

/// Refuses a server that is too old. The server has told its version at the start of the session.
pub fn require_version(session: &PgConnection) -> Result<(), TooOld> {
    // A pooler may tell none. Then the server is asked by the statements that it does not
    // understand.
    session.server_version_num().map_or(Ok(()), check_version)
}

/// Time limits of a role or a database, which are meant for calls.
const LIMITS: [(&str, &str); 3] =
    [("statement_timeout", "0"), ("idle_in_transaction_session_timeout", "0"), ("idle_session_timeout", "0")];

/// Options of a session without limits, but for the one that [`lift_transaction_timeout`] lifts.
pub fn without_limits(options: PgConnectOptions) -> PgConnectOptions {
    options.options(LIMITS)
}

/// Opens a session of a command: on a server that is new enough, without a limit for a transaction.
pub async fn connect<E>(options: &PgConnectOptions) -> Result<PgConnection, E>
where
    E: From<sqlx::Error> + From<TooOld>,
{
    let mut session = options.connect().await?;
    require_version(&session)?;
    lift_transaction_timeout(&mut session).await?;
    Ok(session)
}

/// Lets the transactions of a session last as long as they need. Statements have limits of their
/// own.
///
/// PostgreSQL has this limit since version 17, and an older server refuses a session that names it
/// in its options.
pub async fn lift_transaction_timeout(session: &mut PgConnection) -> Result<(), sqlx::Error> {
    if session.server_version_num().is_some_and(|number| number < 170_000) {
        return Ok(());
    }
    let lift = "select set_config(name, '0', false) from pg_settings where name = 'transaction_timeout'";
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
