//! Callers that wait for the end of an operation, which any replica may execute.
//!
//! While callers wait, one task polls all awaited operations in one statement. Waiting callers hold
//! no session, and learn of an end in any replica equally fast. `listen` would need a session of
//! its own and fails behind some poolers.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::PgConnection;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Repository;
use super::database::observed::observed;

/// The interval between two polls, while callers wait.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Cheap to clone.
#[derive(Clone, Default)]
pub struct Awaited {
    state: Arc<Mutex<State>>,
    shutting_down: CancellationToken,
}

#[derive(Default)]
struct State {
    /// The callers of an operation share one notification, which is dropped with the last of them.
    operations: HashMap<Uuid, Weak<Notify>>,
    /// Owned by the polling task. When the task ends, for any reason, the next caller starts
    /// another.
    polling: Weak<()>,
}

impl State {
    fn add(&mut self, operation_id: Uuid) -> Arc<Notify> {
        if let Some(ended) = self.operations.get(&operation_id).and_then(Weak::upgrade) {
            return ended;
        }
        let ended = Arc::new(Notify::new());
        self.operations.insert(operation_id, Arc::downgrade(&ended));
        ended
    }

    /// Returns `None` if a task polls already.
    fn begin_polling(&mut self) -> Option<Arc<()>> {
        let polling = self.polling.upgrade().is_none().then(Arc::default)?;
        self.polling = Arc::downgrade(&polling);
        Some(polling)
    }

    /// Returns the awaited operations. If there are none, the next caller starts another task.
    fn awaited(&mut self) -> Vec<Uuid> {
        self.operations.retain(|_, ended| ended.strong_count() > 0);
        if self.operations.is_empty() {
            self.polling = Weak::new();
        }
        self.operations.keys().copied().collect()
    }

    /// A caller that misses a notification gets it from the next poll.
    fn notify(&self, ended: &[Uuid]) {
        for operation in ended.iter().filter_map(|id| self.operations.get(id)) {
            if let Some(operation) = operation.upgrade() {
                operation.notify_waiters();
            }
        }
    }
}

impl Repository {
    /// Waits for the end of the operation, for at most `longest`. Returns whether it has ended, or
    /// `None` if the service shuts down first.
    pub async fn until_ended(&self, operation_id: Uuid, longest: Duration) -> Option<bool> {
        let ended = self.awaited.state.lock().add(operation_id);
        self.poll_while_a_caller_waits();
        tokio::select! {
            biased;
            () = self.awaited.shutting_down.cancelled() => None,
            waited = timeout(longest, ended.notified()) => Some(waited.is_ok()),
        }
    }

    /// Ends every wait, so that the callers are answered before the service stops.
    pub fn stop_waiting(&self) {
        self.awaited.shutting_down.cancel();
    }

    fn poll_while_a_caller_waits(&self) {
        let polling = self.awaited.state.lock().begin_polling();
        if let Some(polling) = polling {
            let repository = self.clone();
            self.tasks.start(async move {
                let _polling = polling;
                repository.poll().await;
            });
        }
    }

    /// Polls until no caller waits.
    async fn poll(&self) {
        loop {
            sleep(POLL_INTERVAL).await;
            let operations = self.awaited.state.lock().awaited();
            if operations.is_empty() {
                return;
            }
            let ended = self.upkeep.run_once(self.upkeep.deadline(), &operations, |connection, operations| {
                Box::pin(ended_operations(connection, operations))
            });
            // After a failure, the next poll tries again.
            if let Ok(ended) = ended.await {
                self.awaited.state.lock().notify(&ended);
            }
        }
    }
}

async fn ended_operations(connection: &mut PgConnection, operations: &[Uuid]) -> sqlx::Result<Vec<Uuid>> {
    let statement = sqlx::query_file_scalar!("src/repository/sql/ended_operations.sql", operations);
    observed("ended_operations", statement.fetch_all(connection)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn another_task_polls_after_one_that_panicked_or_found_no_caller() {
        let mut state = State::default();
        let polling = state.begin_polling().expect("no task polls");
        assert!(state.begin_polling().is_none());
        let task = tokio::spawn(async move {
            let _polling = polling;
            panic!("a defect");
        });
        assert!(task.await.unwrap_err().is_panic());
        let polling = state.begin_polling().expect("the task has ended");
        assert!(state.awaited().is_empty());
        assert!(state.begin_polling().is_some(), "the task ends next");
        drop(polling);
    }

    #[tokio::test]
    async fn callers_of_one_operation_share_its_notification_and_are_forgotten_with_the_last() {
        let mut state = State::default();
        let (first, second) = (state.add(Uuid::nil()), state.add(Uuid::nil()));
        assert!(Arc::ptr_eq(&first, &second));
        drop(first);
        assert_eq!(state.awaited(), [Uuid::nil()]);
        let notified = second.notified();
        state.notify(&[Uuid::nil(), Uuid::max()]);
        timeout(Duration::from_secs(1), notified).await.expect("it is notified");
        drop(second);
        assert!(state.awaited().is_empty());
    }
}
