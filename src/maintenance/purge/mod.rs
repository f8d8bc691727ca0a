//! `purge`: erases rows for good, in small batches that do not delay the service.

mod age;
mod by_age;
mod eraser;
mod of_customer;
mod progress;
mod refusals;
mod statements;
mod tally;

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::age::Age;
use self::by_age::Ages;
use self::eraser::{Eraser, Pace};
use self::progress::Progress;
use self::refusals::Refusals;
use self::tally::Tally;
use super::{MaintenanceError, session};
use crate::output::say;

/// The longest wait of a batch for a lock that it cannot skip.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);

#[derive(clap::Args)]
pub struct Arguments {
    /// Erases the rows that were deleted longer ago than this, like 90d or 36h.
    #[arg(long, value_name = "AGE", required_unless_present = "customer", conflicts_with = "customer")]
    older_than: Option<Age>,

    /// Erases operations that are older than this, at least 24h. An operation that deleted rows is also kept for
    /// --older-than, and as long as one of these rows exists.
    #[arg(long, value_name = "AGE", default_value = "30d", value_parser = Age::of_operations, conflicts_with = "customer")]
    operations_older_than: Age,

    /// Skips rows that other services deleted. To find these, a purge reads the whole tables.
    #[arg(long, conflicts_with = "customer")]
    recorded_only: bool,

    /// Erases the deleted rows of this customer, whoever deleted them and whatever their age, but not those that it deleted
    /// of its sub-customers. If the customer is deleted, erases everything that it has.
    #[arg(long, value_name = "ID")]
    customer: Option<Uuid>,

    /// Erases nothing. Counts the rows that would be erased if nobody locked a row, with the same exit status.
    #[arg(long)]
    dry_run: bool,

    /// The largest number of rows in a transaction.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    batch_size: u16,

    /// The shortest rest after a batch. A rest is never shorter than four times the batch.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 10)]
    pause: u64,
}

/// Erases until it is done or `stop` is, and reports on standard output.
pub async fn run(arguments: Arguments, stop: impl Future<Output = ()>) -> Result<(), MaintenanceError> {
    let mut session = session::open("customer-deletion purge", LOCK_TIMEOUT).await?;
    if !statements::take_purge_lock(&mut session).await? {
        return Err(MaintenanceError::Refused("another purge is running in this database".to_owned()));
    }
    let mut eraser = Eraser {
        session,
        pace: Pace { batch_size: arguments.batch_size.into(), pause: Duration::from_millis(arguments.pause) },
        stop: CancellationToken::new(),
        dry_run: arguments.dry_run,
        tally: Tally::new(),
        refusals: Refusals::default(),
        progress: Progress::new(arguments.dry_run),
    };
    let token = eraser.stop.clone();
    let erased = tokio::select! {
        erased = erase(&mut eraser, &arguments) => erased,
        never = async { stop.await; token.cancel(); std::future::pending().await } => never,
    };
    eraser.progress.clear();
    if !matches!(erased, Err(MaintenanceError::Refused(_))) {
        say(&eraser.tally.written(eraser.dry_run));
    }
    erased
}

async fn erase(eraser: &mut Eraser, arguments: &Arguments) -> Result<(), MaintenanceError> {
    match (arguments.customer, arguments.older_than) {
        (Some(customer), _) => of_customer::erase(eraser, customer).await,
        (None, Some(age)) => {
            let now = statements::now(&mut eraser.session).await?;
            let (rows, operations) = (age.before(now), arguments.operations_older_than.before(now));
            by_age::erase(eraser, Ages { now, rows, operations, recorded_only: arguments.recorded_only }).await?;
            eraser.refusals.written().map_or(Ok(()), |rows| Err(MaintenanceError::Incomplete(rows)))
        }
        (None, None) => unreachable!("one of the two is required"),
    }
}
