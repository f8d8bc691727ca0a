//! The DBA's maintenance: taking a deletion back, and erasing for good what was deleted long ago.

pub mod purge;
pub mod restore;
mod session;

use crate::config::SettingsError;
use crate::schema::{Misfit, TooOld};

/// Why a command did not do what it was asked to.
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
    /// A rule says no. Nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// Something is left that was to be erased.
    #[error("{0}")]
    Incomplete(String),
    #[error("stopped; what is erased stays erased, and the same command goes on from there")]
    Stopped,
}

/// Whether the database gave this SQLSTATE.
fn has_sqlstate(error: &sqlx::Error, states: &[&str]) -> bool {
    let state = error.as_database_error().and_then(|error| error.code());
    state.is_some_and(|state| states.contains(&&*state))
}
