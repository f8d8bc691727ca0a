//! The frame of every use case of a call.

use std::sync::Arc;

use tokio::time::Instant;

use super::Repository;
use crate::error::Error;

impl Repository {
    /// Runs a use case until the deadline of a call, once the schema gate is passed. Keeps the permit until then.
    pub(crate) fn serve<T, W, P>(
        &self,
        permit: P,
        use_case: impl FnOnce(Repository, Instant) -> W + Send + 'static,
    ) -> impl Future<Output = Result<T, Error>>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, Error>> + Send + 'static,
        P: Send + 'static,
    {
        let repository = self.clone();
        self.tasks.run(async move {
            let _permit = permit;
            let (gate, deadline) = (Arc::clone(&repository.schema_gate), repository.database.deadline());
            gate.acquire(&repository.database, deadline).await?;
            let result = use_case(repository, deadline).await;
            if let Err(Error::Defect(_)) = &result {
                // The schema may have been changed under the running service.
                gate.invalidate();
            }
            result
        })
    }

    pub(super) async fn verify(&self) -> Result<(), Error> {
        self.schema_gate.verify(&self.upkeep, self.upkeep.deadline()).await?;
        self.commit_proof.renew(&self.upkeep).await
    }
}
