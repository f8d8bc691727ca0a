//! The schema gate. No call touches a table before schema and role were verified. The result is
//! cached.

use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::PgConnection;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::Database;
use super::observed::observed;
use super::role::{self, Role};
use super::session_settings::RequiredSettings;
use crate::config::DatabaseSettings;
use crate::error::Error;
use crate::schema::{self, Applied, TooOld};

pub struct SchemaGate {
    required_settings: RequiredSettings,
    allow_owner: bool,
    cache: Cache,
    /// Locked while a verification runs.
    verifying: Mutex<()>,
}

impl SchemaGate {
    pub fn new(settings: &DatabaseSettings) -> SchemaGate {
        SchemaGate {
            required_settings: RequiredSettings::new(settings),
            allow_owner: settings.allow_owner,
            cache: Cache::default(),
            verifying: Mutex::default(),
        }
    }

    /// Verifies schema and role, unless that was done since the last invalidation.
    pub async fn acquire(&self, database: &Database, deadline: Instant) -> Result<(), Error> {
        // Boxed, so that the task of every call does not reserve memory for this future.
        if self.cache.is_valid() { Ok(()) } else { Box::pin(self.await_verification(database, deadline)).await }
    }

    /// Waits for a verification that is running. Verifies if there was none, if it failed, or if it
    /// takes half of the time that is left: its session may be silent.
    async fn await_verification(&self, database: &Database, deadline: Instant) -> Result<(), Error> {
        let now = Instant::now();
        let half = now + deadline.saturating_duration_since(now) / 2;
        let _ = timeout_at(half, self.verifying.lock()).await;
        if self.cache.is_valid() { Ok(()) } else { self.verify(database, deadline).await }
    }

    /// Verifies that a deletion could be done now. Fails with [`Error::Unavailable`] if the
    /// database is unreachable or read-only, if this build does not work on its schema, or if the
    /// role or a session setting is unsuitable.
    pub async fn verify(&self, database: &Database, deadline: Instant) -> Result<(), Error> {
        // Only `acquire` waits. Verifications that run side by side after a failed one do not wait
        // for each other.
        let _verifying = self.verifying.try_lock();
        let begun = self.cache.begin();
        let read = database.run(deadline, &self.required_settings, |connection, settings| {
            Box::pin(read(connection, settings.names()))
        });
        let facts = match read.await {
            Ok(facts) => facts.map_err(|too_old| too_old.to_string()),
            Err(Error::Defect(error)) => Err(format!(
                "the schema cannot be read ({error}); `customer-deletion migrate` brings it to version {}",
                schema::expected_version()
            )),
            // A database that is away says nothing about its schema.
            Err(error) => return Err(error),
        };
        let schema =
            facts.and_then(|(schema, role)| self.judge(&schema, &role).map(|()| schema)).map_err(|misfit| {
                self.invalidate();
                Error::Unavailable(misfit)
            })?;
        self.required_settings.check(&schema.settings).map_err(Error::Unavailable)?;
        self.cache.validate(begun);
        if !schema.writable {
            database.sessions.invalidate();
            return Err(Error::Unavailable("the server does not take writes".to_owned()));
        }
        Ok(())
    }

    fn judge(&self, schema: &SchemaCheck, role: &Role) -> Result<(), String> {
        schema::fits(&schema.applied).map_err(|misfit| misfit.to_string())?;
        role.judge(self.allow_owner)
    }

    /// The schema may have changed. The next call verifies it.
    pub fn invalidate(&self) {
        self.cache.invalidate();
    }
}

/// Reads schema and role, if the server is new enough to be asked for them.
async fn read(
    connection: &mut PgConnection,
    settings: Vec<String>,
) -> sqlx::Result<Result<(SchemaCheck, Role), TooOld>> {
    if let Err(too_old) = schema::require_version(connection) {
        return Ok(Err(too_old));
    }
    Ok(Ok((check_schema(connection, &settings).await?, role::check_role(connection).await?)))
}

pub struct SchemaCheck {
    /// The migrations, in ascending order of their versions.
    pub applied: Vec<Applied>,
    writable: bool,
    /// The values of the session, in the order of their names. `None` if the server does not know a
    /// name.
    settings: Vec<Option<String>>,
}

/// Fails with SQLSTATE 42P01 in a database without a schema.
pub async fn check_schema(connection: &mut PgConnection, settings: &[String]) -> sqlx::Result<SchemaCheck> {
    let statement = sqlx::query_file!("src/repository/sql/check_schema.sql", settings);
    let row = observed("check_schema", statement.fetch_one(connection)).await?;
    let applied = row.versions.into_iter().zip(row.oldest_builds);
    Ok(SchemaCheck {
        applied: applied.map(|(version, oldest_build)| Applied { version, oldest_build }).collect(),
        writable: row.writable,
        settings: row.settings,
    })
}

/// Invalid until the first verification has succeeded.
#[derive(Default)]
struct Cache {
    invalidations: AtomicU64,
    /// The value of `invalidations` when the last successful verification began, plus one.
    validated: AtomicU64,
}

impl Cache {
    fn is_valid(&self) -> bool {
        self.validated.load(Ordering::SeqCst) > self.invalidations.load(Ordering::SeqCst)
    }

    fn invalidate(&self) {
        self.invalidations.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns the number of invalidations before the verification that begins.
    fn begin(&self) -> u64 {
        self.invalidations.load(Ordering::SeqCst)
    }

    /// A verification may have read the schema before a later invalidation. Then the cache stays
    /// invalid.
    fn validate(&self, begun: u64) {
        self.validated.fetch_max(begun + 1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verification_that_began_before_an_invalidation_does_not_undo_it() {
        let cache = Cache::default();
        assert!(!cache.is_valid());
        cache.validate(cache.begin());
        assert!(cache.is_valid());

        let slow = cache.begin();
        cache.invalidate();
        cache.validate(slow);
        assert!(!cache.is_valid());
        cache.validate(cache.begin());
        cache.validate(slow);
        assert!(cache.is_valid());
    }
}
