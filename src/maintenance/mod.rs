//! The DBA's commands: `restore`, `purge`, `hold`, `release`, `holds`, `operations` and `verify`.

mod age;
pub mod hold;
pub mod operations;
mod progress;
pub mod purge;
pub mod restore;
mod session;
pub mod verify;

use std::fmt::Display;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use self::purge::ledger::LedgerError;
use crate::config::SettingsError;
use crate::schema::{Misfit, TooOld};

/// The reason why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("cannot work with the database: {0}")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Server(#[from] TooOld),
    #[error(transparent)]
    Schema(#[from] Misfit),
    /// A rule refuses it. Nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// A part of it is not done.
    #[error("{0}")]
    Incomplete(String),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("stopped; erased rows stay erased, and the same command continues from there")]
    Stopped,
    #[error("stopped; nothing is changed")]
    Interrupted,
    /// Rows, operations or the schema disagree. Standard output lists the disagreements.
    #[error("verify found disagreements: {0} in all; standard output lists them")]
    Disagreement(u64),
}

impl MaintenanceError {
    /// Refuses with "nothing is {done}: {problem}". `done` is a participle, such as `restored`.
    fn refused(done: &str, problem: impl Display) -> MaintenanceError {
        MaintenanceError::Refused(format!("nothing is {done}: {problem}"))
    }
}

fn written(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_else(|_| time.to_string())
}
