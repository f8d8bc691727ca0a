//! `verify`: proves on a live database that rows and operations agree. It changes nothing.

mod part;
mod statements;
mod verification;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

pub use self::verification::{Disagreement, Verification};

use self::part::Part;
use self::verification::Count;
use super::age::{Age, CLOCK_DIFFERENCE, first_id};
use super::progress::Progress;
use super::{MaintenanceError, session};
use crate::output::report;

/// The guards of a schema that has just been migrated. A test compares them.
pub const SCHEMA: &str = include_str!("schema.txt");

/// The target duration of a statement. A slower one halves the next page, a faster one doubles it.
const STEP: Duration = Duration::from_millis(100);

/// The numbers of rows that a statement verifies: at first, and at most.
const FIRST_PAGE: i64 = 100;
const LARGEST_PAGE: i64 = 5_000;

#[derive(clap::Args)]
pub struct Arguments {
    /// Verifies only operations and restores younger than this (2d, 36h), their rows, the queue and
    /// the schema. By default, whole tables are read.
    #[arg(long, value_name = "AGE")]
    since: Option<Age>,

    /// Prints the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Verifies the database and prints the result on standard output. Fails if anything disagrees.
pub async fn run(arguments: Arguments, stop: impl Future<Output = ()>) -> Result<(), MaintenanceError> {
    let mut session = session::open("customer-deletion verify").await?;
    sqlx::raw_sql("set default_transaction_read_only = on").execute(&mut session).await?;
    let since = match arguments.since {
        Some(age) => Some(age.before(session::now(&mut session).await?)),
        None => None,
    };
    let verification = tokio::select! {
        verification = verify(&mut session, since) => verification?,
        () = stop => return Err(MaintenanceError::Interrupted),
    };
    report(arguments.json, &verification, &verification);
    match verification.total() {
        0 => Ok(()),
        total => Err(MaintenanceError::Disagreement(total)),
    }
}

/// Verifies all that there is, or only what was recorded since a time.
pub async fn verify(connection: &mut PgConnection, since: Option<OffsetDateTime>) -> sqlx::Result<Verification> {
    let mut verification = Verification::default();
    verify_schema(connection, &mut verification).await?;
    for part in Part::all().filter(|part| since.is_none() || Part::RECORDS.contains(part)) {
        let oldest = since.filter(|_| part.has_ids_in_order_of_time()).map(|time| first_id(time - CLOCK_DIFFERENCE));
        verify_part(connection, part, oldest.unwrap_or_default(), &mut verification).await?;
    }
    Ok(verification)
}

/// Guards added by others are not checked, except foreign keys that are switched off.
async fn verify_schema(connection: &mut PgConnection, verification: &mut Verification) -> sqlx::Result<()> {
    let lines: BTreeSet<String> = statements::schema(connection).await?.into_iter().collect();
    for guard in SCHEMA.lines().filter(|guard| !lines.contains(*guard)) {
        verification.add("schema", "guard that is missing, changed, invalid or switched off", guard.to_owned());
    }
    for line in lines.iter().filter(|line| line.starts_with("foreign key ")) {
        verification.add("schema", "foreign key that is switched off", line.clone());
    }
    Ok(())
}

async fn verify_part(
    connection: &mut PgConnection,
    part: Part,
    after: Uuid,
    verification: &mut Verification,
) -> sqlx::Result<()> {
    let (mut last, mut count, mut rows, mut progress) = (after, FIRST_PAGE, 0, Progress::new());
    loop {
        let began = Instant::now();
        let page = statements::page(connection, part, last, count).await?;
        let Some(end) = page.last() else { break };
        last = end.id;
        rows += page.len() as u64;
        for verified in page {
            if let Some(name) = verified.disagreement {
                verification.add(part.word(), &name, verified.id.to_string());
            }
        }
        count = next_count(count, began.elapsed());
        progress.show(&format!("{}: {rows} verified", part.word()), false);
        // A pause as long as the statement leaves half of the time to other sessions.
        tokio::time::sleep(began.elapsed()).await;
    }
    progress.clear();
    verification.verified.push(Count { part: part.word(), rows });
    Ok(())
}

fn next_count(count: i64, took: Duration) -> i64 {
    if took > STEP { (count / 2).max(1) } else { (count * 2).min(LARGEST_PAGE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_statement_is_followed_by_one_of_half_as_many_rows() {
        assert_eq!(next_count(100, STEP * 2), 50);
        assert_eq!(next_count(1, STEP * 2), 1);
        assert_eq!(next_count(100, STEP / 2), 200);
        assert_eq!(next_count(LARGEST_PAGE, STEP / 2), LARGEST_PAGE);
    }
}
