//! An attempt at a leased operation, and what follows a failed one.

use std::time::Duration;

use tokio::time::sleep;
use uuid::Uuid;

use super::leased::{Leased, OperationEnd};
use super::run::{Ran, Step, in_transaction};
use super::{Consumer, statements};
use crate::backoff::Backoff;
use crate::closed_set::Stored;
use crate::error::Error;
use crate::operation::{Deletion, Details, View};
use crate::repository::statements::find_operation;

/// The interval at which another session checks whether the transaction of an attempt still exists.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// The pauses between two attempts.
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(30) };

impl Consumer {
    /// Runs the operation, or ends it after too many attempts. Returns `None` if the lease was
    /// lost.
    pub async fn attempt(&self, leased: &Leased) -> Result<Option<OperationEnd>, Error> {
        let result = if leased.attempts > self.limits.attempts {
            // The last attempt never reported its result.
            self.give_up(leased).await
        } else {
            self.run(leased).await
        };
        if let Err(Error::Defect(_)) = &result {
            self.repository.schema_gate.invalidate();
        }
        result
    }

    /// Schedules the next attempt, or ends the operation.
    ///
    /// If only the answer to the commit of the failed attempt was lost, that attempt has already
    /// ended the operation.
    pub async fn attempt_failed(&self, leased: &Leased) -> Result<Option<OperationEnd>, Error> {
        let mut end = None;
        if leased.attempts >= self.limits.attempts {
            end = self.give_up(leased).await?;
        } else {
            self.postpone(leased).await?;
        }
        if end.is_none()
            && let Some(requested) = leased.requested_end.get()
            && self.has_ended(leased, requested).await?
        {
            end = Some(requested.clone());
        }
        Ok(end)
    }

    async fn run(&self, leased: &Leased) -> Result<Option<OperationEnd>, Error> {
        let (deadline, limits) = (self.long.deadline(), self.limits);
        let ran = self.long.run_once(deadline, leased, move |connection, leased| {
            Box::pin(in_transaction(connection, leased, limits, Step::Delete))
        });
        let ran = tokio::select! {
            ran = ran => ran?,
            () = self.until_nobody_locks(leased.deletion.operation_id) => {
                let reason = "the session of the attempt is silent, and no longer locks the operation";
                return Err(Error::Unavailable(reason.to_owned()));
            }
        };
        match ran {
            Ran::Ended(end) => Ok(Some(end)),
            Ran::LeaseIsLost | Ran::Dropped => Ok(None),
            Ran::Undecided => Err(Error::Unavailable("the rows of the operation keep changing".to_owned())),
        }
    }

    /// Ends when two checks in a row find that no transaction locks the operation.
    ///
    /// A session can go silent without an error, for example when the server's machine is lost.
    /// PostgreSQL unlocks the operation's row long before the run timeout. One check is not enough:
    /// the transaction may not have locked the row yet, or may just have ended.
    async fn until_nobody_locks(&self, operation_id: Uuid) {
        let database = &self.repository.upkeep;
        let mut unlocked = 0;
        while unlocked < 2 {
            sleep(CHECK_INTERVAL).await;
            let locked = database.run_once(database.deadline(), &operation_id, |connection, operation_id| {
                Box::pin(statements::is_locked(connection, *operation_id))
            });
            // A check that fails counts as locked.
            unlocked = if locked.await.unwrap_or(true) { 0 } else { unlocked + 1 };
        }
    }

    /// Ends the operation as an internal error. Returns `None` if the lease was lost.
    async fn give_up(&self, leased: &Leased) -> Result<Option<OperationEnd>, Error> {
        let (deadline, limits) = (self.database.deadline(), self.limits);
        let ran = self.database.run_once(deadline, leased, move |connection, leased| {
            Box::pin(in_transaction(connection, leased, limits, Step::GiveUp))
        });
        match ran.await? {
            Ran::Ended(end) => Ok(Some(end)),
            Ran::LeaseIsLost | Ran::Dropped | Ran::Undecided => Ok(None),
        }
    }

    async fn postpone(&self, leased: &Leased) -> Result<(), Error> {
        let pause = BACKOFF.pause_after(leased.attempts.unsigned_abs());
        let postponed = self.database.run(self.database.deadline(), leased, move |connection, leased| {
            Box::pin(statements::postpone(connection, leased, pause))
        });
        postponed.await
    }

    /// Whether the operation ended with the status and the code of `end`.
    async fn has_ended(&self, leased: &Leased, end: &OperationEnd) -> Result<bool, Error> {
        let found = self.database.run(self.database.deadline(), &leased.deletion, |connection, deletion| {
            let Deletion { requester_id, operation_id, .. } = *deletion;
            Box::pin(find_operation(connection, requester_id, operation_id, View::Status))
        });
        let wanted = (Stored::Known(end.status()), end.code().map(Stored::Known));
        // A refused operation may have been cancelled instead.
        Ok(found.await?.is_some_and(|Details { operation, .. }| (operation.status, operation.error_code) == wanted))
    }
}
