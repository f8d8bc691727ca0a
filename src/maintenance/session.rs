//! A session of a maintenance command.

use std::time::Duration;

use sqlx::{ConnectOptions, PgConnection};

use super::MaintenanceError;
use crate::config::Settings;
use crate::repository::{self, PLANNING};
use crate::schema;

/// Connects to the database of the settings, as long as its schema is the one of this build.
pub async fn open(name: &str, lock_timeout: Duration) -> Result<PgConnection, MaintenanceError> {
    let options = Settings::load()?.database.connect_options()?;
    let options = options
        .application_name(name)
        .options(PLANNING)
        .options([
            ("lock_timeout", lock_timeout.as_millis().to_string()),
            // A long list takes its time, whatever the role or the database is set to.
            ("statement_timeout", "0".to_owned()),
            // What waits for a lock acts on what is there then.
            ("default_transaction_isolation", "read committed".to_owned()),
        ])
        .disable_statement_logging();
    let mut session = options.connect().await?;
    schema::fits(&repository::check_schema(&mut session, &[]).await?.applied)?;
    Ok(session)
}
