//! The record of a purge in the database: what it was asked for, and how much it erased.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::kind::Kind;
use super::statements::BatchResult;

/// The request that a purge fulfils.
#[derive(Debug, Default)]
pub struct Request {
    /// `age`, `customer`, `operation`, the word of a resource, or `replay`.
    pub kind: &'static str,
    pub rows_before: Option<OffsetDateTime>,
    pub operations_before: Option<OffsetDateTime>,
    pub subject_ids: Vec<Uuid>,
}

/// Returns the id of the purge.
pub async fn begin(connection: &mut PgConnection, request: &Request) -> sqlx::Result<Uuid> {
    let purge = Uuid::now_v7();
    sqlx::query_file!(
        "src/maintenance/sql/begin_purge.sql",
        purge,
        request.kind,
        request.rows_before,
        request.operations_before,
        &request.subject_ids,
    )
    .execute(connection)
    .await?;
    Ok(purge)
}

/// Records a batch, in the transaction that erases it.
pub async fn add(tx: &mut PgConnection, purge: Uuid, kind: Kind, batch: &BatchResult) -> sqlx::Result<()> {
    if !batch.operations.is_empty() {
        sqlx::query_file!("src/maintenance/sql/record_erasures.sql", purge, &batch.operations)
            .execute(&mut *tx)
            .await?;
    }
    count(tx, purge, kind.word(), batch.erased.len() as i64).await?;
    if let Kind::Of(resource) = kind
        && let Some(reference) = resource.rules().reference
    {
        count(tx, purge, reference.word, batch.references).await?;
    }
    Ok(())
}

async fn count(tx: &mut PgConnection, purge: Uuid, word: &str, count: i64) -> sqlx::Result<()> {
    if count > 0 {
        sqlx::query_file!("src/maintenance/sql/count_erased.sql", purge, word, count).execute(tx).await?;
    }
    Ok(())
}

pub async fn end(connection: &mut PgConnection, purge: Uuid) -> sqlx::Result<()> {
    sqlx::query_file!("src/maintenance/sql/end_purge.sql", purge).execute(connection).await.map(|_| ())
}
