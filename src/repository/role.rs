//! The database role that the service works as: neither more nor less than it needs.

use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::time::timeout;

use super::observed::observed;
use super::session_settings;
use crate::config::{self, SettingsError};

/// What helps where the database says that something is not permitted.
pub const HOW_TO_GRANT: &str = "deploy/postgres/roles.sql grants customer_deletion_service what the service needs";

/// What the session's role may do.
pub struct Role {
    name: String,
    superuser: bool,
    owner: bool,
    /// Privileges that the service needs and the role has not, like `insert on operation`.
    missing: Vec<String>,
}

impl Role {
    /// Says no to a role that the service should not, or cannot, work as.
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
        let power = match (self.superuser, self.owner) {
            (true, _) => "is, or may become, a superuser",
            (false, true) => "is, or may become, the owner of the tables",
            (false, false) => return Ok(()),
        };
        let problem = format!(
            "is not true, and the database's role {} {power}; connect as a member of customer_deletion_service, which \
             deploy/postgres/roles.sql makes",
            self.name
        );
        Err(SettingsError::new("database.allow_owner", problem))
    }
}

pub async fn check_role(connection: &mut PgConnection) -> Result<Role, sqlx::Error> {
    let statement = sqlx::query_file_as!(Role, "src/repository/sql/check_role.sql");
    observed("check_role", statement.fetch_one(connection)).await
}

/// Stops the start of a service that would work as a superuser or as the owner, unless that is allowed.
///
/// A database that does not answer does not stop it: then the service is not ready until its role is known.
pub async fn refuse_owner(settings: &config::Database) -> Result<(), SettingsError> {
    if settings.allow_owner {
        return Ok(());
    }
    let options = session_settings::set(settings, settings.connect_options()?).disable_statement_logging();
    let asked = timeout(settings.deadline, async {
        let mut connection = options.connect().await?;
        let role = check_role(&mut connection).await?;
        connection.close().await?;
        Ok::<_, sqlx::Error>(role)
    });
    match asked.await {
        Ok(Ok(role)) => role.refuse_owner(),
        Ok(Err(_)) | Err(_) => Ok(()),
    }
}
