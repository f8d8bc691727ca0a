//! A session of a maintenance command.

use std::time::Duration;

use sqlx::{ConnectOptions, PgConnection};
use time::OffsetDateTime;

use super::MaintenanceError;
use crate::config::Settings;
use crate::repository::{self, PLANNING};
use crate::schema;

/// The longest wait of a command for a lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects to the database of the settings. Fails if this build does not work on its schema.
pub async fn open(name: &str) -> Result<PgConnection, MaintenanceError> {
    open_with(name, LOCK_TIMEOUT).await
}

/// The same, with another limit for the wait for a lock.
pub async fn open_with(name: &str, lock_timeout: Duration) -> Result<PgConnection, MaintenanceError> {
    let options = Settings::load()?.database.connect_options()?;
    let options = options
        .application_name(name)
        .options(PLANNING)
        .options([
            ("lock_timeout", lock_timeout.as_millis().to_string()),
            // A statement that waited for a lock acts on the rows as they are then.
            ("default_transaction_isolation", "read committed".to_owned()),
        ])
        .disable_statement_logging();
    // A long list, and the pauses of a purge, take longer than the usual limits.
    let mut session = schema::connect::<MaintenanceError>(&schema::without_limits(options)).await?;
    schema::fits(&repository::check_schema(&mut session, &[]).await?.applied)?;
    Ok(session)
}

/// The time by the database's clock.
pub async fn now(connection: &mut PgConnection) -> sqlx::Result<OffsetDateTime> {
    sqlx::query_file_scalar!("src/maintenance/sql/now.sql").fetch_one(connection).await
}
