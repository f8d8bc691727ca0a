//! Erases in small batches, each a short transaction of its own, and rests between them.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::progress::Progress;
use super::record::{Erased, Record, Request};
use super::refusals::{self, Refusals};
use super::statements::{self, Batch, Belonging, Due};
use super::tally::Tally;
use crate::maintenance::MaintenanceError;
use crate::resource::Resource;
use crate::sqlstate;

/// A rest is at least this many times as long as the work before it. So a busy server gets longer rests.
const REST: u32 = 4;

/// The size of a batch, and the pause after it.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The largest number of rows in a transaction.
    pub batch_size: usize,
    /// The shortest rest.
    pub pause: Duration,
}

/// A session that erases, and its result so far.
pub struct Eraser {
    pub session: PgConnection,
    pub pace: Pace,
    pub stop: CancellationToken,
    /// Whether rows are only counted.
    pub dry_run: bool,
    /// `None` until the purge has begun, and in a dry run.
    pub record: Option<Record>,
    pub tally: Tally,
    pub refusals: Refusals,
    pub progress: Progress,
}

/// The table that the rows of a batch are in.
#[derive(Clone, Copy, Debug)]
enum Rows {
    Of(Resource, Due),
    Beside(Belonging, Uuid),
}

impl Rows {
    fn word(self) -> &'static str {
        match self {
            Rows::Of(resource, _) => resource.word(),
            Rows::Beside(kind, _) => kind.word(),
        }
    }
}

impl Eraser {
    /// Records that the purge begins. A dry run has no record.
    pub async fn begin(&mut self, request: Request) -> Result<(), MaintenanceError> {
        if !self.dry_run {
            let record = Record::begin(&mut self.session, &request).await?;
            self.progress.tell(&format!("recorded as purge {}", record.id));
            self.record = Some(record);
        }
        Ok(())
    }

    /// Erases the rows that are due.
    pub async fn erase(&mut self, resource: Resource, ids: &[Uuid], due: Due) -> Result<(), MaintenanceError> {
        self.erase_all(Rows::Of(resource, due), ids).await
    }

    /// Erases what a deleted customer has besides its resources.
    pub async fn erase_belongings(&mut self, kind: Belonging, customer_id: Uuid) -> Result<(), MaintenanceError> {
        let ids = statements::belongings(&mut self.session, kind, customer_id).await?;
        self.erase_all(Rows::Beside(kind, customer_id), &ids).await
    }

    async fn erase_all(&mut self, rows: Rows, ids: &[Uuid]) -> Result<(), MaintenanceError> {
        for batch in ids.chunks(self.pace.batch_size) {
            let began = Instant::now();
            self.erase_batch(rows, batch).await?;
            self.rest(began.elapsed()).await?;
        }
        Ok(())
    }

    /// A batch that is refused because of a row is halved, until that row is alone. The others are erased.
    async fn erase_batch(&mut self, rows: Rows, ids: &[Uuid]) -> Result<(), MaintenanceError> {
        let mut parts = vec![ids];
        while let Some(ids) = parts.pop() {
            match self.try_to_erase(rows, ids).await {
                Ok(()) => {}
                Err(error) if sqlstate::is_one_of(&error, &sqlstate::LOCKED) => self.tally.held += ids.len() as u64,
                Err(error) if refusals::is_about_a_row(&error) => match ids {
                    [id] => self.refusals.add(&format!("{} {id}", rows.word()), &error),
                    _ => {
                        let (first, second) = ids.split_at(ids.len() / 2);
                        parts.extend([second, first]);
                    }
                },
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Erases a batch and records it, in one transaction.
    async fn try_to_erase(&mut self, rows: Rows, ids: &[Uuid]) -> Result<(), sqlx::Error> {
        let mut tx = self.session.begin().await?;
        match rows {
            Rows::Of(resource, due) => {
                let batch = statements::erase(&mut tx, resource, ids, due, self.record.is_none()).await?;
                if let Some(record) = &self.record {
                    record.add_batch(&mut tx, resource, &batch).await?;
                }
                tx.commit().await?;
                self.count(resource, &batch);
            }
            Rows::Beside(kind, customer_id) => {
                let erased = match &self.record {
                    None => ids.len(),
                    Some(record) => {
                        let ids = statements::erase_belongings(&mut tx, kind, customer_id, ids).await?;
                        record.add(&mut tx, &Erased { word: kind.word(), ids: &ids, operations: &[] }).await?;
                        ids.len()
                    }
                };
                tx.commit().await?;
                self.tally.add(kind.word(), erased as u64);
            }
        }
        Ok(())
    }

    fn count(&mut self, resource: Resource, batch: &Batch) {
        // A dry run tries nothing, and so does not know what another session holds.
        let erased = if self.dry_run { batch.due } else { batch.erased.len() as i64 };
        self.tally.add(resource.word(), erased.unsigned_abs());
        self.tally.held += (batch.due - erased).unsigned_abs();
        if let Some(reference) = resource.rules().reference {
            self.tally.add(reference.word, batch.references.unsigned_abs());
            self.tally.add_in_use(resource, batch.in_use.unsigned_abs());
        }
    }

    /// Erases the operations that are older than `before` and explain no row that is kept.
    pub async fn erase_operations(
        &mut self,
        ids: &[Uuid],
        before: OffsetDateTime,
        kept_from: OffsetDateTime,
    ) -> Result<(), MaintenanceError> {
        for batch in ids.chunks(self.pace.batch_size) {
            let began = Instant::now();
            // In a dry run, the rows still exist that a real run would have erased by now.
            let kept_from = self.dry_run.then_some(kept_from);
            let erasable = statements::erasable_operations(&mut self.session, batch, before, kept_from).await?;
            let erased = match &self.record {
                None => erasable.len() as u64,
                Some(record) => {
                    let mut tx = self.session.begin().await?;
                    let erased = statements::erase_operations(&mut tx, &erasable, before).await?;
                    record.count(&mut tx, "operation", erased as i64).await?;
                    tx.commit().await?;
                    erased
                }
            };
            self.tally.add("operation", erased);
            self.rest(began.elapsed()).await?;
        }
        Ok(())
    }

    /// Erases a deleted customer, unless something still refers to it.
    pub async fn erase_customer(&mut self, id: Uuid) -> Result<(), MaintenanceError> {
        match self.try_to_erase_customer(id).await {
            Ok(erased) => self.tally.add("customer", erased),
            Err(error) if sqlstate::is_one_of(&error, &sqlstate::LOCKED) => self.tally.held += 1,
            Err(error) if refusals::is_about_a_row(&error) => self.refusals.add(&format!("customer {id}"), &error),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    async fn try_to_erase_customer(&mut self, id: Uuid) -> Result<u64, sqlx::Error> {
        let Some(record) = &self.record else { return Ok(1) };
        let mut tx = self.session.begin().await?;
        let erased = statements::erase_customer(&mut tx, id).await?;
        if erased > 0 {
            record.add(&mut tx, &Erased { word: "customer", ids: &[id], operations: &[] }).await?;
        }
        tx.commit().await?;
        Ok(erased)
    }

    /// Leaves the server to others for a while. Only here a purge can be stopped, because no batch is open.
    pub async fn rest(&self, worked: Duration) -> Result<(), MaintenanceError> {
        let pause = self.pace.pause.max(worked * REST);
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(MaintenanceError::Stopped),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }
}
