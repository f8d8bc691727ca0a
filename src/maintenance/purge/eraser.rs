//! Erases in small batches, each a short transaction of its own, and rests between them.

use std::time::Duration;

use sqlx::PgConnection;
use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::progress::Progress;
use super::statements::{self, Belonging, Due};
use super::tally::Tally;
use crate::maintenance::{MaintenanceError, has_sqlstate};
use crate::resource::Resource;

/// A rest is at least this many times as long as the work before it, so that a busy server gets more of it.
const REST: u32 = 4;

/// Somebody holds what a batch needs: a lock, a deadlock, an allocation that was made meanwhile.
const IN_USE: [&str; 3] = ["55P03", "40P01", "23503"];

/// How it goes about it.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How many rows a transaction erases at most.
    pub batch_size: usize,
    /// How long a rest is at least.
    pub pause: Duration,
}

/// A session that erases, and what it has erased.
pub struct Eraser {
    pub session: PgConnection,
    pub pace: Pace,
    pub stop: CancellationToken,
    /// Whether nothing is erased, only counted.
    pub dry_run: bool,
    pub tally: Tally,
    pub progress: Progress,
}

impl Eraser {
    /// Erases those of the rows that are due.
    pub async fn erase(&mut self, resource: Resource, ids: &[Uuid], due: Due) -> Result<(), MaintenanceError> {
        for batch in ids.chunks(self.pace.batch_size) {
            let began = Instant::now();
            self.erase_batch(resource, batch, due).await?;
            self.rest(began.elapsed()).await?;
        }
        Ok(())
    }

    async fn erase_batch(&mut self, resource: Resource, ids: &[Uuid], due: Due) -> Result<(), MaintenanceError> {
        let batch = match statements::erase(&mut self.session, resource, ids, due, self.dry_run).await {
            Ok(batch) => batch,
            Err(error) if has_sqlstate(&error, &IN_USE) => {
                self.tally.held += ids.len() as u64;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        // What somebody holds is only known once it is tried.
        let erased = if self.dry_run { batch.due } else { batch.erased };
        self.tally.add(resource.word(), erased.unsigned_abs());
        self.tally.held += (batch.due - erased).unsigned_abs();
        if let Some(reference) = resource.rules().reference {
            self.tally.add(reference.word, batch.references.unsigned_abs());
            self.tally.add_in_use(resource, batch.in_use.unsigned_abs());
        }
        Ok(())
    }

    /// Erases those of the operations that are older than `before` and explain no row that is kept.
    pub async fn erase_operations(
        &mut self,
        ids: &[Uuid],
        before: OffsetDateTime,
        kept_from: OffsetDateTime,
    ) -> Result<(), MaintenanceError> {
        for batch in ids.chunks(self.pace.batch_size) {
            let began = Instant::now();
            // What a dry run leaves there would be gone by now.
            let kept_from = self.dry_run.then_some(kept_from);
            let erasable = statements::erasable_operations(&mut self.session, batch, before, kept_from).await?;
            let erased = match self.dry_run {
                true => erasable.len() as u64,
                false => statements::erase_operations(&mut self.session, &erasable, before).await?,
            };
            self.tally.add("operation", erased);
            self.rest(began.elapsed()).await?;
        }
        Ok(())
    }

    /// Erases what a deleted customer has besides the five resources. False where something is held.
    pub async fn erase_belongings(&mut self, kind: Belonging, customer_id: Uuid) -> Result<bool, MaintenanceError> {
        if self.dry_run {
            let count = statements::count_belongings(&mut self.session, kind, customer_id).await?;
            self.tally.add(kind.word(), count.unsigned_abs());
            return Ok(true);
        }
        let batch_size = self.pace.batch_size as i64;
        loop {
            let began = Instant::now();
            match statements::erase_belongings(&mut self.session, kind, customer_id, batch_size).await {
                Ok(erased) => {
                    self.tally.add(kind.word(), erased);
                    if erased == 0 {
                        return Ok(true);
                    }
                }
                Err(error) if has_sqlstate(&error, &IN_USE) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            self.rest(began.elapsed()).await?;
        }
    }

    /// Erases a deleted customer. False where something still refers to it.
    pub async fn erase_customer(&mut self, id: Uuid) -> Result<bool, MaintenanceError> {
        if self.dry_run {
            self.tally.add("customer", 1);
            return Ok(true);
        }
        match statements::erase_customer(&mut self.session, id).await {
            Ok(erased) => {
                self.tally.add("customer", erased);
                Ok(erased == 1)
            }
            Err(error) if has_sqlstate(&error, &IN_USE) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Leaves the server to others for a while. The one place where a purge is stopped: nothing is half done here.
    pub async fn rest(&self, worked: Duration) -> Result<(), MaintenanceError> {
        let pause = self.pace.pause.max(worked * REST);
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(MaintenanceError::Stopped),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }
}
