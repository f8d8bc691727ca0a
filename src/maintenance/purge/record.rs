//! The record of a purge in the database: what it was asked for, and how much it erased.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::statements::Batch;
use crate::resource::Resource;

/// The request that a purge fulfils.
#[derive(Debug, Default)]
pub struct Request {
    /// `age`, `customer`, `operation`, the word of a resource, or `replay`.
    pub kind: &'static str,
    pub rows_before: Option<OffsetDateTime>,
    pub operations_before: Option<OffsetDateTime>,
    pub subject_ids: Vec<Uuid>,
}

/// Rows of one kind that a batch erased.
pub struct Erased<'a> {
    pub word: &'static str,
    pub ids: &'a [Uuid],
    /// For each row that an operation had deleted, that operation.
    pub operations: &'a [Uuid],
}

/// The record of the purge that runs.
pub struct Record {
    pub id: Uuid,
}

impl Record {
    pub async fn begin(connection: &mut PgConnection, request: &Request) -> Result<Record, sqlx::Error> {
        let id = Uuid::now_v7();
        sqlx::query_file!(
            "src/maintenance/sql/begin_purge.sql",
            id,
            request.kind,
            request.rows_before,
            request.operations_before,
            &request.subject_ids,
        )
        .execute(connection)
        .await?;
        Ok(Record { id })
    }

    /// Records a batch of a resource, in the transaction that erases it.
    pub async fn add_batch(&self, tx: &mut PgConnection, resource: Resource, batch: &Batch) -> Result<(), sqlx::Error> {
        let (ids, operations) = (&batch.erased, &batch.operations);
        self.add(tx, &Erased { word: resource.word(), ids, operations }).await?;
        match resource.rules().reference {
            Some(reference) => self.count(tx, reference.word, batch.references).await,
            None => Ok(()),
        }
    }

    /// Records rows of one kind, in the transaction that erases them.
    pub async fn add(&self, tx: &mut PgConnection, erased: &Erased<'_>) -> Result<(), sqlx::Error> {
        if !erased.operations.is_empty() {
            sqlx::query_file!("src/maintenance/sql/record_erasures.sql", self.id, erased.operations)
                .execute(&mut *tx)
                .await?;
        }
        self.count(tx, erased.word, erased.ids.len() as i64).await
    }

    pub async fn count(&self, tx: &mut PgConnection, word: &str, count: i64) -> Result<(), sqlx::Error> {
        if count > 0 {
            sqlx::query_file!("src/maintenance/sql/count_erased.sql", self.id, word, count).execute(tx).await?;
        }
        Ok(())
    }

    pub async fn end(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query_file!("src/maintenance/sql/end_purge.sql", self.id).execute(connection).await.map(|_| ())
    }
}
