//! The DBA's commands: `restore` undoes a deletion, `purge` erases old rows for good.

pub mod purge;
pub mod restore;
mod session;
pub mod verify;

use crate::config::SettingsError;
use crate::schema::{Misfit, TooOld};

/// The reason for which a command failed.
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
    /// Rows are left that should have been erased.
    #[error("{0}")]
    Incomplete(String),
    #[error("stopped; erased rows stay erased, and the same command continues from there")]
    Stopped,
    #[error("stopped; nothing is changed")]
    Interrupted,
    /// Rows, operations or the schema disagree. The findings are on standard output.
    #[error("rows and operations disagree: {0} in all")]
    Disagreement(u64),
}
