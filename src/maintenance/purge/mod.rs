//! `purge`: erases rows for good, in small batches that do not delay the service.

mod by_age;
mod eraser;
mod kept_rows;
mod kind;
pub mod ledger;
mod of_customer;
mod of_rows;
mod progress;
mod record;
mod replay;
mod statements;
mod tally;

use std::path::PathBuf;
use std::time::Duration;

use clap::ArgGroup;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::by_age::Cutoffs;
use self::eraser::Eraser;
use self::kept_rows::KeptRows;
use self::ledger::Ledger;
use self::tally::Tally;
use super::age::Age;
use super::progress::Progress;
use super::{MaintenanceError, session};
use crate::output::say;
use crate::resource::Resource;

/// The longest wait of a statement for a lock that it cannot skip. A batch that meets a lock is
/// tried again in parts.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);

/// The options that erase rows of any age are also in the group `whatever_age`.
#[derive(clap::Args)]
#[command(group = ArgGroup::new("what").required(true))]
pub struct Arguments {
    /// Erases the rows that were deleted longer ago than this, like 90d or 36h.
    #[arg(long, value_name = "AGE", group = "what")]
    older_than: Option<Age>,

    /// Erases operations older than this (at least 24h). A successful operation is also kept for
    /// --older-than, and while one of its rows exists.
    #[arg(long, value_name = "AGE", default_value = "30d", value_parser = Age::of_operations, conflicts_with = "whatever_age")]
    operations_older_than: Age,

    /// Erases only rows that this service deleted. Finding the others requires reading whole
    /// tables.
    #[arg(long, conflicts_with = "whatever_age")]
    recorded_only: bool,

    /// Erases all deleted rows of this customer, of any age, and the actors of its calls. Rows of
    /// its sub-customers stay. If the customer is deleted, erases everything it has.
    #[arg(long, value_name = "ID", groups = ["what", "whatever_age"])]
    customer: Option<Uuid>,

    /// Erases the rows that this operation deleted, of any age. The operation stays.
    #[arg(long, value_name = "ID", groups = ["what", "whatever_age"])]
    operation: Option<Uuid>,

    /// Erases this deleted contact, of any age. May be given several times.
    #[arg(long, value_name = "ID", groups = ["what", "whatever_age"])]
    contact: Vec<Uuid>,

    /// Erases this deleted address, of any age. May be given several times.
    #[arg(long, value_name = "ID", groups = ["what", "whatever_age"])]
    address: Vec<Uuid>,

    /// Erases this deleted external params instance, of any age. May be given several times.
    #[arg(long, value_name = "ID", groups = ["what", "whatever_age"])]
    external_params: Vec<Uuid>,

    /// Erases this deleted zone, of any age. May be given several times.
    #[arg(long, value_name = "ID", groups = ["what", "whatever_age"])]
    zone: Vec<Uuid>,

    /// Erases this deleted product, of any age. May be given several times.
    #[arg(long, value_name = "ID", groups = ["what", "whatever_age"])]
    product: Vec<Uuid>,

    /// Erases again what this ledger says that earlier purges erased, after a recovery from a
    /// backup.
    #[arg(long, value_name = "FILE", groups = ["what", "whatever_age"])]
    replay: Option<PathBuf>,

    /// Appends the ids of all rows and records to this file before they are erased. Creates the
    /// file if it is missing.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dry_run", "replay"])]
    ledger: Option<PathBuf>,

    /// Erases nothing: counts what a run would erase. Locked rows count as erasable. The exit
    /// status is that of a run.
    #[arg(long)]
    dry_run: bool,

    /// The largest number of rows in a transaction.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    batch_size: u16,

    /// The shortest pause after a batch. A pause is also at least four times as long as the batch
    /// took.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 10)]
    pause: u64,
}

/// Erases until everything is erased or `stop` completes, and reports on standard output.
pub async fn run(arguments: Arguments, stop: impl Future<Output = ()>) -> Result<(), MaintenanceError> {
    let mut session = session::open_with("customer-deletion purge", LOCK_TIMEOUT).await?;
    if !statements::take_purge_lock(&mut session).await? {
        return Err(MaintenanceError::Refused("another purge is running in this database".to_owned()));
    }
    let ledger = arguments.ledger.as_deref().map(Ledger::open).transpose()?;
    let mut eraser = Eraser {
        session,
        ledger,
        batch_size: arguments.batch_size.into(),
        pause: Duration::from_millis(arguments.pause),
        stop: CancellationToken::new(),
        dry_run: arguments.dry_run,
        finds_again: false,
        lock_timeouts: 0,
        purge: None,
        tally: Tally::new(),
        kept_rows: KeptRows::default(),
        progress: Progress::new(),
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
    if let (Some(purge), Ok(()) | Err(MaintenanceError::Incomplete(_))) = (eraser.purge, &erased) {
        record::end(&mut eraser.session, purge).await?;
    }
    erased
}

async fn erase(eraser: &mut Eraser, arguments: &Arguments) -> Result<(), MaintenanceError> {
    if let Some(age) = arguments.older_than {
        return erase_by_age(eraser, arguments, age).await;
    }
    if let Some(customer) = arguments.customer {
        return of_customer::erase(eraser, customer).await;
    }
    if let Some(operation) = arguments.operation {
        return of_rows::erase_of_operation(eraser, operation).await;
    }
    if let Some(ledger) = &arguments.replay {
        return replay::replay(eraser, ledger).await;
    }
    match Resource::ALL.into_iter().find(|resource| !arguments.ids(*resource).is_empty()) {
        Some(resource) => of_rows::erase(eraser, resource, arguments.ids(resource)).await,
        None => unreachable!("the command line requires one of them"),
    }
}

impl Arguments {
    fn ids(&self, resource: Resource) -> &[Uuid] {
        match resource {
            Resource::Contact => &self.contact,
            Resource::Address => &self.address,
            Resource::ExternalParams => &self.external_params,
            Resource::Zone => &self.zone,
            Resource::Product => &self.product,
        }
    }
}

async fn erase_by_age(eraser: &mut Eraser, arguments: &Arguments, age: Age) -> Result<(), MaintenanceError> {
    let now = session::now(&mut eraser.session).await?;
    let (rows_before, operations_before) = (age.before(now), arguments.operations_older_than.before(now));
    let recorded_only = arguments.recorded_only;
    by_age::erase(eraser, Cutoffs { now, rows_before, operations_before, recorded_only }).await?;
    eraser.kept_rows.written().map_or(Ok(()), |rows| Err(MaintenanceError::Incomplete(rows)))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use clap::error::ErrorKind;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        purge: Arguments,
    }

    const ID: &str = "3c8e71f5-90a2-4b6d-8e34-7f15d2a6c098";

    fn parse(options: &[&str]) -> Result<Arguments, ErrorKind> {
        let command = Command::try_parse_from(["purge"].iter().chain(options));
        command.map(|command| command.purge).map_err(|error| error.kind())
    }

    #[test]
    fn rows_of_every_resource_can_be_named() {
        for resource in Resource::ALL {
            let option = format!("--{}", resource.word());
            let arguments = parse(&[&option, ID, &option, ID]).unwrap();
            assert_eq!(arguments.ids(resource), [ID.parse::<Uuid>().unwrap(); 2], "{option}");
        }
    }

    #[test]
    fn what_is_named_has_no_age() {
        let options = Resource::ALL.map(|resource| format!("--{}", resource.word()));
        for option in options.iter().map(String::as_str).chain(["--customer", "--operation", "--replay"]) {
            assert!(parse(&[option, ID]).is_ok(), "{option}");
            for age in [&["--recorded-only"][..], &["--operations-older-than", "40d"], &["--older-than", "90d"]] {
                let refused = parse(&[&[option, ID], age].concat()).err();
                assert_eq!(refused, Some(ErrorKind::ArgumentConflict), "{option} {age:?}");
            }
        }
    }
}
