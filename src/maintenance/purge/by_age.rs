//! Erases rows that were deleted long ago, and operations that no row needs any more.

use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use super::eraser::Eraser;
use super::kind::Kind;
use super::record::Request;
use super::statements::{self, Due, OperationRow};
use crate::closed_set::Stored;
use crate::maintenance::MaintenanceError;
use crate::maintenance::age::{CLOCK_DIFFERENCE, first_id};
use crate::operation::Status;
use crate::resource::Resource;

/// The number of operations in a page.
const PAGE: i64 = 500;

/// A page ends after this many ids. A page is in memory, and a list of ids can be long.
const PAGE_IDS: i64 = 10_000;

/// The number of blocks of a table that are read together: 2 MiB.
const BLOCKS: i64 = 256;

/// The times before which rows and operations are old enough to be erased.
#[derive(Clone, Copy, Debug)]
pub struct Cutoffs {
    /// The start of the purge, by the database's clock.
    pub now: OffsetDateTime,
    /// Rows that were deleted before this are erased.
    pub rows_before: OffsetDateTime,
    /// Operations that are older than this are erased; those that deleted rows must be older than
    /// `rows_before`, too.
    pub operations_before: OffsetDateTime,
    /// Whether to erase only rows that an operation deleted. They are found without reading the
    /// tables.
    pub recorded_only: bool,
}

impl Cutoffs {
    /// The cutoff of successful operations and of restores. A row is never deleted before its
    /// operation is recorded, so a younger operation is kept without a check of its rows.
    fn deletions(self) -> OffsetDateTime {
        self.operations_before.min(self.rows_before)
    }
}

pub async fn erase(eraser: &mut Eraser, cutoffs: Cutoffs) -> Result<(), MaintenanceError> {
    let (rows_before, operations_before) = (Some(cutoffs.rows_before), Some(cutoffs.operations_before));
    eraser.begin(Request { kind: "age", rows_before, operations_before, ..Request::default() }).await?;
    // The summary has a line for each, even if nothing is erased.
    ["operation", "restoration"].into_iter().for_each(|word| eraser.tally.add(word, 0));
    go_through_operations(eraser, cutoffs).await?;
    if !cutoffs.recorded_only {
        for resource in Resource::ALL {
            go_through_table(eraser, resource, cutoffs).await?;
        }
    }
    erase_restorations(eraser, cutoffs).await
}

/// Erases the rows that operations deleted, and the operations, in the order of their ids, which is
/// the order of time.
async fn go_through_operations(eraser: &mut Eraser, cutoffs: Cutoffs) -> Result<(), MaintenanceError> {
    eraser.show("operation", 0.0, 0, true);
    let latest = cutoffs.rows_before.max(cutoffs.operations_before);
    let until = if cutoffs.recorded_only { first_id(latest + CLOCK_DIFFERENCE) } else { Uuid::max() };
    let (mut last, mut oldest) = (Uuid::nil(), None);
    loop {
        let began = Instant::now();
        let page =
            statements::page_of_operations(&mut eraser.session, last..until, PAGE, cutoffs.rows_before, PAGE_IDS)
                .await?;
        let Some(end) = page.last() else { break };
        last = end.id;
        let oldest = *oldest.get_or_insert(page[0].created_at);
        eraser.pause(began.elapsed()).await?;
        erase_page(eraser, &page, cutoffs).await?;
        let done = (end.created_at - oldest) / (cutoffs.now - oldest).max(time::Duration::SECOND);
        eraser.show("operation", done, eraser.tally.total(), false);
    }
    eraser.show("operation", 1.0, eraser.tally.total(), true);
    Ok(())
}

async fn erase_page(eraser: &mut Eraser, page: &[OperationRow], cutoffs: Cutoffs) -> Result<(), MaintenanceError> {
    // A dry run that reads the tables counts these rows there.
    if cutoffs.recorded_only || !eraser.dry_run {
        eraser.finds_again = !cutoffs.recorded_only;
        for resource in Resource::ALL {
            let ids = rows_of(page, resource);
            eraser.erase(Kind::Of(resource), Due::before(cutoffs.rows_before), &ids).await?;
        }
        eraser.finds_again = false;
    }
    let of_newer_builds = page.iter().filter(|operation| is_of_newer_build(operation));
    eraser.tally.of_newer_builds +=
        of_newer_builds.filter(|operation| operation.created_at < cutoffs.operations_before).count() as u64;
    let old = page.iter().filter(|operation| is_old(operation, cutoffs)).map(|operation| operation.id);
    erase_operations(eraser, &old.collect::<Vec<Uuid>>(), cutoffs).await
}

/// Erases the operations that explain no row that is kept.
async fn erase_operations(eraser: &mut Eraser, ids: &[Uuid], cutoffs: Cutoffs) -> Result<(), MaintenanceError> {
    // In a dry run, the rows still exist that a real run would have erased by now.
    let kept_from = eraser.dry_run.then_some(cutoffs.rows_before);
    for ids in ids.chunks(eraser.batch_size) {
        let erasable =
            statements::erasable_operations(&mut eraser.session, ids, cutoffs.operations_before, kept_from).await?;
        eraser.erase_unless_on_hold(Kind::Operation, Due::before(cutoffs.operations_before), &erasable).await?;
    }
    Ok(())
}

fn is_old(operation: &OperationRow, cutoffs: Cutoffs) -> bool {
    let before = match operation.status {
        Stored::Known(Status::Success) => cutoffs.deletions(),
        Stored::Known(Status::Failure | Status::InternalError) => cutoffs.operations_before,
        Stored::Known(Status::Open) | Stored::Unknown(_) => return false,
    };
    operation.created_at < before && !is_of_newer_build(operation)
}

/// Whether only a newer build knows the operation. It may explain rows of a table that this build
/// does not read.
fn is_of_newer_build(operation: &OperationRow) -> bool {
    matches!(operation.resource, Stored::Unknown(_)) || matches!(operation.status, Stored::Unknown(_))
}

/// The rows of a resource in the lists of the operations.
fn rows_of(page: &[OperationRow], resource: Resource) -> Vec<Uuid> {
    let deletions = page.iter().filter(|operation| operation.resource == Stored::Known(resource));
    deletions.flat_map(|operation| operation.target_ids.iter().copied()).collect()
}

/// Erases rows that other services deleted. They have no operation, and are found by reading the
/// whole table: every deletion would have to write an index for them.
async fn go_through_table(eraser: &mut Eraser, resource: Resource, cutoffs: Cutoffs) -> Result<(), MaintenanceError> {
    eraser.show(resource.word(), 0.0, 0, true);
    let blocks = statements::count_blocks(&mut eraser.session, resource).await?;
    let mut first = 0;
    while first < blocks {
        let began = Instant::now();
        let end = first + BLOCKS;
        let ids = statements::expired(&mut eraser.session, resource, first, end, cutoffs.rows_before).await?;
        eraser.pause(began.elapsed()).await?;
        eraser.erase(Kind::Of(resource), Due::before(cutoffs.rows_before), &ids).await?;
        first = end;
        eraser.show(resource.word(), first as f64 / blocks as f64, eraser.tally.total(), false);
    }
    eraser.show(resource.word(), 1.0, eraser.tally.total(), true);
    Ok(())
}

async fn erase_restorations(eraser: &mut Eraser, cutoffs: Cutoffs) -> Result<(), MaintenanceError> {
    let old = statements::old_restorations(&mut eraser.session, cutoffs.deletions()).await?;
    eraser.erase_unless_on_hold(Kind::Restoration, Due::ANY_AGE, &old).await
}
