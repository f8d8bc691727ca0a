//! Erases in small batches, each a short transaction of its own, and pauses between them.

use std::io::{self, Write};
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::kept_rows::{self, KeptRows};
use super::kind::Kind;
use super::ledger::{self, Ledger};
use super::progress::{bar, line};
use super::record::{self, Request};
use super::statements::{self, BatchResult, Due, Erasable};
use super::tally::Tally;
use crate::maintenance::MaintenanceError;
use crate::maintenance::progress::Progress;
use crate::sqlstate;

/// A pause is at least this many times as long as the work before it. So a busy server gets longer
/// pauses.
const PAUSE: u32 = 4;

/// After this many consecutive lock timeouts, batches are no longer halved, because the lock is not
/// on single rows. One locked row among 10,000 causes at most 14.
const MOST_LOCK_TIMEOUTS: u32 = 16;

/// A session that erases, and its result so far.
pub struct Eraser {
    pub session: PgConnection,
    /// The largest number of rows in a transaction.
    pub batch_size: usize,
    /// The shortest pause after a batch.
    pub pause: Duration,
    pub stop: CancellationToken,
    /// Whether rows are only counted.
    pub dry_run: bool,
    /// Whether rows that stay are neither counted nor named, because the purge finds them again in
    /// their table.
    pub finds_again: bool,
    /// The lock timeouts since the last success.
    pub lock_timeouts: u32,
    /// The id of the purge. `None` until it has begun, and in a dry run.
    pub purge: Option<Uuid>,
    /// The file for the ids of what is erased.
    pub ledger: Option<Ledger>,
    pub tally: Tally,
    pub kept_rows: KeptRows,
    pub progress: Progress,
}

impl Eraser {
    /// Records that the purge begins. A dry run has no record.
    pub async fn begin(&mut self, request: Request) -> Result<(), MaintenanceError> {
        if !self.dry_run {
            let purge = record::begin(&mut self.session, &request).await?;
            let _ = writeln!(io::stderr(), "recorded as purge {purge}");
            self.purge = Some(purge);
        }
        Ok(())
    }

    /// Erases the rows or records that no legal hold keeps, and counts the others.
    pub async fn erase_unless_on_hold(
        &mut self,
        kind: Kind,
        due: Due,
        found: &[Erasable],
    ) -> Result<(), MaintenanceError> {
        let holders: Vec<Uuid> = found.iter().filter_map(|erasable| erasable.holder).collect();
        self.tally.add_on_hold(&holders);
        let free = found.iter().filter(|erasable| erasable.holder.is_none());
        self.erase(kind, due, &free.map(|erasable| erasable.id).collect::<Vec<Uuid>>()).await
    }

    /// Erases the rows in batches.
    pub async fn erase(&mut self, kind: Kind, due: Due, ids: &[Uuid]) -> Result<(), MaintenanceError> {
        for batch in ids.chunks(self.batch_size) {
            let began = Instant::now();
            self.erase_batch(kind, due, batch).await?;
            self.pause(began.elapsed()).await?;
        }
        Ok(())
    }

    /// A batch that fails because of a row is halved, until that row is alone. The others are
    /// erased.
    async fn erase_batch(&mut self, kind: Kind, due: Due, ids: &[Uuid]) -> Result<(), MaintenanceError> {
        let mut parts = vec![ids];
        while let Some(ids) = parts.pop() {
            match self.try_to_erase(kind, due, ids).await {
                Ok(()) => self.lock_timeouts = 0,
                Err(MaintenanceError::Database(error)) if sqlstate::is_one_of(&error, &sqlstate::LOCKED) => {
                    self.lock_timeouts += 1;
                    let left = halve_or_leave(&mut parts, ids, self.lock_timeouts);
                    if !self.finds_again {
                        self.tally.locked += left as u64;
                    }
                }
                Err(MaintenanceError::Database(error)) if kept_rows::may_be_about_a_row(&error) => match ids {
                    [id] => self.report_kept(kind, due, *id, &error).await?,
                    _ => halve(&mut parts, ids),
                },
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reports the row. Fails if the statement also fails for no rows. A lock timeout of that check
    /// proves nothing, and the row is reported.
    async fn report_kept(
        &mut self,
        kind: Kind,
        due: Due,
        id: Uuid,
        error: &sqlx::Error,
    ) -> Result<(), MaintenanceError> {
        if !kept_rows::is_about_a_row(error) {
            match self.try_to_erase(kind, due, &[]).await {
                Err(MaintenanceError::Database(error)) if sqlstate::is_one_of(&error, &sqlstate::LOCKED) => {}
                without_a_row => without_a_row?,
            }
        }
        if !self.finds_again {
            self.kept_rows.add(&format!("{} {id}", kind.word()), error);
        }
        Ok(())
    }

    /// Erases a batch and records it, in one transaction.
    async fn try_to_erase(&mut self, kind: Kind, due: Due, ids: &[Uuid]) -> Result<(), MaintenanceError> {
        let mut tx = self.session.begin().await?;
        // Each part would wait for this lock as long as the whole batch does.
        statements::share_hold_lock(&mut tx).await.inspect_err(|_| self.lock_timeouts = MOST_LOCK_TIMEOUTS)?;
        let batch = statements::erase(&mut tx, kind, ids, due, self.purge.is_none()).await?;
        match self.purge {
            Some(purge) => {
                record::add(&mut tx, purge, kind, &batch).await?;
                ledger::commit(tx, self.ledger.as_mut(), purge, kind, &batch.erased).await?;
            }
            None => tx.rollback().await?,
        }
        self.count(kind, &batch);
        Ok(())
    }

    fn count(&mut self, kind: Kind, batch: &BatchResult) {
        // A dry run tries nothing, and so does not know what another session locks.
        let erased = if self.dry_run { batch.due } else { batch.erased.len() as i64 };
        self.tally.add(kind.word(), erased.unsigned_abs());
        if !self.finds_again {
            self.tally.locked += (batch.due - erased).unsigned_abs();
            self.tally.add_on_hold(&batch.holders);
        }
        if let Kind::Of(resource) = kind
            && let Some(reference) = resource.rules().reference
        {
            self.tally.add(reference.word, batch.references.unsigned_abs());
            self.tally.add_in_use(resource, batch.in_use.unsigned_abs());
        }
    }

    /// Shows the share of a table that is done, from 0 to 1, and the number of rows in all.
    pub fn show(&mut self, table: &str, done: f64, rows: u64, at_once: bool) {
        let verb = if self.dry_run { "to erase" } else { "erased" };
        let text = if self.progress.terminal { bar(table, done, rows, verb) } else { line(table, done, rows, verb) };
        self.progress.show(&text, at_once);
    }

    /// Leaves the server to others for a while. Only here a purge can be stopped, because no batch
    /// is open.
    pub async fn pause(&self, worked: Duration) -> Result<(), MaintenanceError> {
        let pause = self.pause.max(worked * PAUSE);
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(MaintenanceError::Stopped),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }
}

/// Returns the number of rows to leave: a row that is alone, or all of the batch after too many
/// lock timeouts.
fn halve_or_leave<'a>(parts: &mut Vec<&'a [Uuid]>, ids: &'a [Uuid], lock_timeouts: u32) -> usize {
    match ids {
        _ if lock_timeouts >= MOST_LOCK_TIMEOUTS => ids.len() + parts.drain(..).map(<[Uuid]>::len).sum::<usize>(),
        [_, _, ..] => {
            halve(parts, ids);
            0
        }
        _ => ids.len(),
    }
}

/// The first half is the next part.
fn halve<'a>(parts: &mut Vec<&'a [Uuid]>, ids: &'a [Uuid]) {
    let (first, second) = ids.split_at(ids.len() / 2);
    parts.extend([second, first]);
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// Batches of these sizes, in which the rows with these numbers are locked.
    #[rstest]
    #[case::one_row(&[100], &[99], 8, 1)]
    #[case::the_first_of_many(&[10_000], &[0], 14, 1)]
    #[case::two_neighbours(&[100], &[0, 1], 9, 2)]
    #[case::two_apart(&[100], &[0, 99], 14, 2)]
    #[case::every_row(&[100], &Vec::from_iter(0..100), 16, 100)]
    #[case::every_row_of_three_batches(&[100, 100, 100], &Vec::from_iter(0..300), 18, 300)]
    #[case::one_row_after_a_table(&[20, 20, 20], &Vec::from_iter((0..20).chain([59])), 22, 21)]
    fn a_lock_takes_few_timeouts(
        #[case] batches: &[usize],
        #[case] locked: &[u128],
        #[case] timeouts: usize,
        #[case] left: usize,
    ) {
        let ids: Vec<Uuid> = (0..batches.iter().sum::<usize>() as u128).map(Uuid::from_u128).collect();
        let (mut rest, mut since_success, mut counted) = (&ids[..], 0, (0, 0));
        for size in batches {
            let (batch, others) = rest.split_at(*size);
            rest = others;
            let mut parts = vec![batch];
            while let Some(part) = parts.pop() {
                if part.iter().any(|id| locked.contains(&id.as_u128())) {
                    since_success += 1;
                    counted.0 += 1;
                    counted.1 += halve_or_leave(&mut parts, part, since_success);
                } else {
                    since_success = 0;
                }
            }
        }
        assert_eq!(counted, (timeouts, left));
    }
}
