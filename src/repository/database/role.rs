//! The database role of the service. It has the privileges that the service needs, and no more.

use sqlx::{Connection, PgConnection};
use tokio::time::timeout;

use super::failure::HOW_TO_GRANT;
use super::observed::observed;
use super::session_settings::Opener;
use crate::config::{DatabaseSettings, SettingsError};
use crate::schema::{self, TooOld};

/// The session's role and its privileges.
pub struct Role {
    name: String,
    /// A power that the service must not have, like `the owner of the tables`.
    power: Option<String>,
    /// Privileges that the service needs and the role lacks, like `insert on operation`.
    missing: Vec<String>,
}

impl Role {
    /// Refuses a role that has too many or too few privileges.
    pub fn judge(&self, allow_owner: bool) -> Result<(), String> {
        if !allow_owner {
            self.refuse_owner().map_err(|error| error.to_string())?;
        }
        if self.missing.is_empty() {
            return Ok(());
        }
        Err(format!("the role {} is not granted {}; {HOW_TO_GRANT}", self.name, self.missing.join(", ")))
    }

    fn refuse_owner(&self) -> Result<(), SettingsError> {
        let Some(power) = &self.power else { return Ok(()) };
        let problem = format!(
            "is not true, and the database's role {} is, or may become, {power}; revoke that right or membership, or connect as another member of \
             customer_deletion_service, which deploy/postgres/roles.sql creates",
            self.name
        );
        Err(SettingsError::new("database.allow_owner", problem))
    }
}

pub async fn check_role(connection: &mut PgConnection) -> sqlx::Result<Role> {
    let statement = sqlx::query_file_as!(Role, "src/repository/sql/check_role.sql");
    observed("check_role", statement.fetch_one(connection)).await
}

/// Stops the start if the server is too old, or if the role is a superuser or the owner and that is
/// not allowed.
///
/// A database that does not answer does not stop the start. Then the service is not ready until
/// server and role are known.
pub async fn refuse_unsuitable(settings: &DatabaseSettings) -> Result<(), SettingsError> {
    let opener = Opener::new(settings, settings.connect_options()?);
    let asked = timeout(settings.deadline, async {
        let mut session = opener.open().await?;
        if let Err(too_old) = schema::require_version(&session) {
            return Ok(Err(SettingsError::new("database.url", too_old.to_string())));
        }
        let role = if settings.allow_owner { None } else { Some(check_role(&mut session).await?) };
        session.close().await?;
        Ok::<_, sqlx::Error>(Ok(role))
    });
    match asked.await {
        Ok(Ok(Ok(Some(role)))) => role.refuse_owner(),
        Ok(Ok(Err(unsuitable))) => Err(unsuitable),
        Ok(Err(error)) => {
            TooOld::of(&error).map_or(Ok(()), |too_old| Err(SettingsError::new("database.url", too_old.to_string())))
        }
        Ok(Ok(Ok(None))) | Err(_) => Ok(()),
    }
}
