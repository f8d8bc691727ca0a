//! `hold`, `release`, `holds`: customers whose rows must not be erased.

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{MaintenanceError, session, written};
use crate::output::{lines, report, say};

/// The longest wait for the transactions that were erasing rows when a hold was placed.
const PATIENCE: Duration = Duration::from_secs(5);

/// The interval at which these transactions are checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// `legal_hold` has a constraint for it.
const LONGEST_REASON: usize = 1000;

#[derive(clap::Args)]
pub struct Place {
    /// The customer whose rows must not be erased. The rows of its sub-customers are not held.
    #[arg(long, value_name = "ID")]
    customer: Uuid,

    /// The reason, such as the number of a case. Write no personal data into it: holds are never
    /// erased.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
}

#[derive(clap::Args)]
pub struct Release {
    /// The customer to release.
    #[arg(long, value_name = "ID")]
    customer: Uuid,

    /// The hold to release, if the customer has several.
    #[arg(long, value_name = "ID")]
    hold: Option<Uuid>,
}

#[derive(clap::Args)]
pub struct List {
    /// Lists only the holds of this customer.
    #[arg(long, value_name = "ID")]
    customer: Option<Uuid>,

    /// Lists released holds too.
    #[arg(long)]
    all: bool,

    /// Prints the list as JSON.
    #[arg(long)]
    json: bool,
}

/// A hold, in force or released.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    pub id: Uuid,
    pub customer_id: Uuid,
    reason: String,
    placed_by: String,
    #[serde(with = "time::serde::rfc3339")]
    placed_at: OffsetDateTime,
    released_by: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    released_at: Option<OffsetDateTime>,
}

impl fmt::Display for Hold {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Hold { id, customer_id, reason, placed_by, .. } = self;
        match (&self.released_by, self.released_at) {
            (Some(released_by), Some(released_at)) => {
                write!(formatter, "customer {customer_id} was under legal hold {id} from {}", written(self.placed_at))?;
                write!(formatter, " by {placed_by} to {} by {released_by}: {reason}", written(released_at))
            }
            _ => {
                write!(
                    formatter,
                    "customer {customer_id} has been under legal hold {id} since {}",
                    written(self.placed_at)
                )?;
                write!(formatter, " by {placed_by}: {reason}")
            }
        }
    }
}

fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    let is_one_line = !text.chars().any(char::is_control);
    match text.chars().count() {
        1..=LONGEST_REASON if is_one_line => Ok(text.to_owned()),
        _ => Err(format!("must be one line of 1 to {LONGEST_REASON} characters")),
    }
}

/// Places a hold, and waits for transactions that checked for holds before it. If this succeeds, no
/// row of the customer can be erased.
pub async fn place(arguments: Place) -> Result<(), MaintenanceError> {
    let mut session = session::open("customer-deletion hold").await?;
    let Place { customer, reason } = arguments;
    let placed = sqlx::query_file_scalar!("src/maintenance/sql/place_hold.sql", Uuid::now_v7(), customer, reason);
    let Some(id) = placed.fetch_optional(&mut session).await? else {
        return Err(MaintenanceError::Refused(format!("no hold is placed: no customer has the id {customer}")));
    };
    say(&format!("customer {customer} is under legal hold {id}"));
    let left = wait_for_erasures(&mut session).await?;
    if !left.is_empty() {
        let problem = "the hold is in force, but these older transactions may still erase rows";
        return Err(MaintenanceError::Incomplete(format!("{problem}: {}", left.join(", "))));
    }
    if sqlx::query_file!("src/maintenance/sql/find_customer.sql", customer)
        .fetch_optional(&mut session)
        .await?
        .is_none()
    {
        let problem = format!("customer {customer} was erased while the hold was placed; its operations are kept");
        return Err(MaintenanceError::Incomplete(problem));
    }
    Ok(())
}

/// Waits until the transactions that erase rows now have ended. Returns the sessions of those that
/// have not.
async fn wait_for_erasures(session: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let began = Instant::now();
    let mut left = erasing(session).await?;
    while !left.is_empty() && began.elapsed() < PATIENCE {
        tokio::time::sleep(CHECK_INTERVAL).await;
        let mut now = erasing(session).await?;
        now.retain(|now| left.iter().any(|older| older.transaction == now.transaction));
        left = now;
    }
    Ok(left.into_iter().map(|erasing| erasing.session).collect())
}

/// A transaction that may erase rows.
struct Erasing {
    transaction: String,
    session: String,
}

async fn erasing(session: &mut PgConnection) -> sqlx::Result<Vec<Erasing>> {
    sqlx::query_file_as!(Erasing, "src/maintenance/sql/erasing_sessions.sql").fetch_all(session).await
}

/// Releases the only hold of a customer, or the one that is named.
pub async fn release(arguments: Release) -> Result<(), MaintenanceError> {
    let mut session = session::open("customer-deletion release").await?;
    let holds = list(&mut session, Some(arguments.customer), false).await?;
    let hold = chosen(&holds, &arguments)?;
    let released = sqlx::query_file!("src/maintenance/sql/release_hold.sql", hold.id).execute(&mut session).await?;
    if released.rows_affected() == 0 {
        return Err(MaintenanceError::refused("released", "somebody else released it a moment ago"));
    }
    say(&format!("customer {} is released from the hold {}", hold.customer_id, hold.id));
    for other in holds.iter().filter(|other| other.id != hold.id) {
        say(&other.to_string());
    }
    Ok(())
}

fn chosen<'a>(holds: &'a [Hold], arguments: &Release) -> Result<&'a Hold, MaintenanceError> {
    let (customer, refused) = (arguments.customer, |problem| MaintenanceError::refused("released", problem));
    match (arguments.hold, holds) {
        (_, []) => Err(refused(format!("customer {customer} is under no legal hold"))),
        (None, [hold]) => Ok(hold),
        (None, several) => {
            let lines: String = several.iter().map(|hold| format!("\n  {hold}")).collect();
            Err(refused(format!("the customer has several holds; name one with --hold:{lines}")))
        }
        (Some(id), several) => several
            .iter()
            .find(|hold| hold.id == id)
            .ok_or_else(|| refused(format!("customer {customer} is not under the hold {id}"))),
    }
}

/// Prints the holds on standard output.
pub async fn holds(arguments: List) -> Result<(), MaintenanceError> {
    let mut session = session::open("customer-deletion holds").await?;
    let holds = list(&mut session, arguments.customer, arguments.all).await?;
    report(arguments.json, &holds, lines(&holds, "no legal hold"));
    Ok(())
}

/// The holds of a customer or of all, the oldest first.
pub async fn list(
    connection: &mut PgConnection,
    customer: Option<Uuid>,
    released_too: bool,
) -> sqlx::Result<Vec<Hold>> {
    sqlx::query_file_as!(Hold, "src/maintenance/sql/list_holds.sql", customer, released_too).fetch_all(connection).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line() {
        assert_eq!(reason(" case 12/34 ").as_deref(), Ok("case 12/34"));
        for text in ["", "  ", "two\nlines", &"x".repeat(LONGEST_REASON + 1)] {
            assert!(reason(text).is_err(), "{text}");
        }
    }
}
