//! Leases operations to attempts, and ends leases early.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::leased::Leased;
use super::{Consumer, statements};
use crate::error::Error;

/// The pause before an operation is handed back once more.
const HAND_BACK_PAUSE: Duration = Duration::from_millis(50);

impl Consumer {
    /// Leases the operation with the lowest rank. Returns `None` if none is waiting.
    pub async fn claim(&self) -> Result<Option<Leased>, Error> {
        let deadline = self.database.deadline();
        self.repository.schema_gate.acquire(&self.repository.upkeep, deadline).await?;
        let (lease_id, lease) = (Uuid::now_v7(), self.lease);
        let claimed = self
            .database
            .run_once(deadline, &(), move |connection, ()| Box::pin(statements::claim(connection, lease_id, lease)));
        claimed.await
    }

    /// Ends the lease of an attempt that was not begun, or was interrupted.
    ///
    /// PostgreSQL checks once in a second whether the client of a statement is gone. Until then the
    /// interrupted attempt locks its operation, which may be longer than one wait for a lock.
    pub async fn hand_back(&self, leased: &Leased) -> Result<(), Error> {
        let deadline = self.database.deadline();
        loop {
            let handed_back = self
                .database
                .run(deadline, leased, |connection, leased| Box::pin(statements::hand_back(connection, leased)));
            match handed_back.await {
                Err(Error::Unavailable(reason)) if Instant::now() < deadline => {
                    tracing::debug!(reason, "an operation is handed back once more");
                    sleep(HAND_BACK_PAUSE).await;
                }
                result => return result,
            }
        }
    }
}
