//! What a session of PostgreSQL must be set to, and whether it is.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

use crate::config::{self, SessionSettings};

/// How a session plans its statements.
pub const PLANNING: [(&str, &str); 3] = [
    // Planning anew for each list of ids would cost a third of the throughput.
    ("plan_cache_mode", "force_generic_plan"),
    // A plan that is made while a table is new, and small, is kept while it grows.
    ("enable_seqscan", "off"),
    // Every statement is about a few rows, whatever the planner may guess.
    ("jit", "off"),
];

/// Settings that a session keeps by itself, whatever happens to this process. Their values are in milliseconds where they are
/// times, as PostgreSQL keeps them.
#[derive(Clone)]
pub struct Wanted(Vec<(&'static str, String)>);

impl Wanted {
    pub fn new(settings: &config::Database) -> Wanted {
        let planning = PLANNING.map(|(name, value)| (name, value.to_owned()));
        let rest = [
            ("statement_timeout", milliseconds(settings.statement_timeout)),
            ("lock_timeout", milliseconds(settings.lock_timeout)),
            ("idle_in_transaction_session_timeout", milliseconds(settings.statement_timeout)),
            // Every statement is a transaction, and its rechecks after a wait are those of this level.
            ("default_transaction_isolation", "read committed".to_owned()),
        ];
        Wanted(planning.into_iter().chain(rest).collect())
    }

    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    /// Compares with the values that a session has, in the order of the names. Whoever sits between the service and PostgreSQL may
    /// have dropped what was sent, or may have been meant to set it.
    pub fn check(&self, found: &[Option<String>]) -> Result<(), String> {
        let differing = self.0.iter().zip(found).filter(|((_, wanted), found)| found.as_ref() != Some(wanted));
        let differing: Vec<String> = differing
            .map(|((name, wanted), found)| format!("{name} is {}, not {wanted}", found.as_deref().unwrap_or("unknown")))
            .collect();
        if differing.is_empty() {
            return Ok(());
        }
        let settings = differing.join("; ");
        Err(format!("the sessions of PostgreSQL are not set as this service is: {settings}; see deploy/pgbouncer"))
    }
}

/// A session that is set as wanted, or that somebody else sets.
pub fn set(settings: &config::Database, options: PgConnectOptions) -> PgConnectOptions {
    let options = options.application_name("customer-deletion");
    match settings.session_settings {
        SessionSettings::Sent => options
            .options(Wanted::new(settings).0)
            // Means the connection to PostgreSQL itself, and reads as 0 where that is none of TCP.
            .options([("tcp_user_timeout", milliseconds(settings.deadline))]),
        // Nothing here is a floating-point number, and a pooler may refuse the parameter.
        SessionSettings::Given => options.extra_float_digits(None),
    }
}

fn milliseconds(duration: Duration) -> String {
    duration.as_millis().to_string()
}
