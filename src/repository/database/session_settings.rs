//! The settings that a session of PostgreSQL must have, and the check that it has them.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection, Row};

use crate::config::{DatabaseSettings, SessionSettings};
use crate::schema;

/// The planner's settings.
pub const PLANNING: [(&str, &str); 6] = [
    // A new plan for each list of ids would cost a third of the throughput.
    ("plan_cache_mode", "force_generic_plan"),
    // A plan that is made while a table is small is kept while it grows.
    ("enable_seqscan", "off"),
    // Rows are locked in plan order. An index scan follows the ids. A bitmap scan follows the
    // table, where overlapping lists would deadlock.
    ("enable_bitmapscan", "off"),
    ("enable_indexscan", "on"),
    // Every statement touches few rows. Compilation and parallel workers take longer than the
    // statement.
    ("jit", "off"),
    ("max_parallel_workers_per_gather", "0"),
];

/// A limit of PostgreSQL 17 and newer. Calls do not need it: each statement has a limit, and so has
/// the time between two.
const TRANSACTION_TIMEOUT: &str = "transaction_timeout";

/// The settings that a session must have. PostgreSQL enforces them even if this process stops.
/// Times are formatted as PostgreSQL shows them.
#[derive(Clone)]
pub struct RequiredSettings(Vec<(&'static str, String)>);

impl RequiredSettings {
    pub fn new(settings: &DatabaseSettings) -> RequiredSettings {
        let planning = PLANNING.map(|(name, value)| (name, value.to_owned()));
        let rest = [
            ("statement_timeout", shown(settings.statement_timeout())),
            ("lock_timeout", shown(settings.lock_timeout())),
            ("idle_in_transaction_session_timeout", shown(settings.statement_timeout())),
            // A session of the pool may be idle for long.
            ("idle_session_timeout", "0".to_owned()),
            (TRANSACTION_TIMEOUT, "0".to_owned()),
            // Every statement is a transaction, and relies on the row rechecks of read committed.
            ("default_transaction_isolation", "read committed".to_owned()),
        ];
        RequiredSettings(planning.into_iter().chain(rest).collect())
    }

    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    /// Compares with the values of a session, in the order of the names. A value is `None` if the
    /// server does not know the setting. A pooler may have dropped what was sent, or the role may
    /// lack its settings.
    pub fn check(&self, found: &[Option<String>]) -> Result<(), String> {
        let differs = |name, wanted, found: &Option<String>| match found {
            Some(found) => found != wanted,
            None => name != TRANSACTION_TIMEOUT,
        };
        let differing = self.0.iter().zip(found).filter(|((name, wanted), found)| differs(*name, wanted, found));
        let differing: Vec<String> = differing
            .map(|((name, wanted), found)| format!("{name} is {}, not {wanted}", found.as_deref().unwrap_or("unknown")))
            .collect();
        if differing.is_empty() {
            return Ok(());
        }
        let settings = differing.join("; ");
        Err(format!(
            "the settings of the database sessions are not those that the service needs: {settings}; see deploy/pgbouncer"
        ))
    }
}

/// Opens sessions of the service. Cheap to clone.
#[derive(Clone)]
pub struct Opener {
    options: PgConnectOptions,
    session_settings: SessionSettings,
}

impl Opener {
    pub fn new(settings: &DatabaseSettings, options: PgConnectOptions) -> Opener {
        // A call has its own line in the log.
        let options = options.application_name("customer-deletion").disable_statement_logging();
        let options = match settings.session_settings {
            SessionSettings::Sent => options
                .options(RequiredSettings::new(settings).0.into_iter().filter(|(name, _)| *name != TRANSACTION_TIMEOUT))
                // `tcp_user_timeout` is not checked: PostgreSQL reports 0 on a connection that is
                // not TCP.
                .options([("tcp_user_timeout", shown(settings.deadline))]),
            // sqlx sends `extra_float_digits`, which poolers may refuse. It changes only floats in
            // text form, and every float here is read in binary form.
            SessionSettings::Given => options.extra_float_digits(None),
        };
        Opener { options, session_settings: settings.session_settings }
    }

    /// A session with its settings, sent from here or given by the role.
    pub async fn open(&self) -> sqlx::Result<PgConnection> {
        let mut session = self.options.connect().await?;
        if self.session_settings == SessionSettings::Sent {
            schema::lift_transaction_timeout(&mut session).await?;
        }
        Ok(session)
    }

    /// The process of a session. Returns `None` behind a pooler, and for a server that is too old
    /// to be asked anything.
    pub async fn process_id(&self, session: &mut PgConnection) -> sqlx::Result<Option<i32>> {
        if self.session_settings == SessionSettings::Given || schema::require_version(session).is_err() {
            return Ok(None);
        }
        sqlx::raw_sql("select pg_backend_pid()").fetch_one(session).await?.try_get(0).map(Some)
    }
}

/// A time as `current_setting` shows it: in the largest unit in which it is a whole number.
fn shown(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    let units = [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];
    let unit = units.into_iter().find(|(_, length)| milliseconds.is_multiple_of(*length));
    unit.filter(|_| milliseconds > 0)
        .map_or("0".to_owned(), |(unit, length)| format!("{}{unit}", milliseconds / length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_differs_is_named_and_one_that_an_older_server_lacks_is_not_missed() {
        let wanted = RequiredSettings::new(&DatabaseSettings::default());
        let found = |name: &str, value: Option<&str>| -> Vec<Option<String>> {
            let value = |(other, wanted): &(&str, String)| match *other == name {
                true => value.map(str::to_owned),
                false => Some(wanted.clone()),
            };
            wanted.0.iter().map(value).collect()
        };
        assert_eq!(wanted.check(&found("", None)), Ok(()));
        assert_eq!(wanted.check(&found(TRANSACTION_TIMEOUT, None)), Ok(()));
        for (name, value, problem) in [
            (TRANSACTION_TIMEOUT, Some("100ms"), "transaction_timeout is 100ms, not 0"),
            ("idle_session_timeout", Some("1min"), "idle_session_timeout is 1min, not 0"),
            ("idle_session_timeout", None, "idle_session_timeout is unknown, not 0"),
        ] {
            let refused = wanted.check(&found(name, value)).unwrap_err();
            assert!(refused.contains(problem), "{refused}");
        }
    }

    #[test]
    fn a_time_is_in_the_form_in_which_postgresql_shows_it() {
        for (milliseconds, text) in [
            (0, "0"),
            (1, "1ms"),
            (1_500, "1500ms"),
            (2_000, "2s"),
            (90_000, "90s"),
            (120_000, "2min"),
            (3_600_000, "1h"),
            (172_800_000, "2d"),
        ] {
            assert_eq!(shown(Duration::from_millis(milliseconds)), text);
        }
    }
}
