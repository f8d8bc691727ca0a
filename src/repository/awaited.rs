//! Callers that wait for the end of an operation, which any replica may execute.
//!
//! While somebody waits, one task asks for the ends of all awaited operations, in one statement. So waiting callers hold no session,
//! and learn of an end in another replica as soon as of one in their own. A notification (`listen`) would need a session of its own,
//! and does not pass through every pooler.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use sqlx::PgConnection;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Repository;
use super::database::observed::observed;

/// The time between two statements, while somebody waits.
const ASK_INTERVAL: Duration = Duration::from_millis(100);

/// Cheap to clone.
#[derive(Clone, Default)]
pub struct Awaited {
    state: Arc<Mutex<State>>,
    shutting_down: CancellationToken,
}

#[derive(Default)]
struct State {
    /// The callers of an operation share its notification. It is gone once all of them are.
    operations: HashMap<Uuid, Weak<Notify>>,
    is_asking: bool,
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

    /// Returns the awaited operations, or none if nobody waits any more.
    fn awaited(&mut self) -> Vec<Uuid> {
        self.operations.retain(|_, ended| ended.strong_count() > 0);
        self.operations.keys().copied().collect()
    }

    /// An end that a caller misses, because it begins to wait at the same moment, is found again by the next statement.
    fn notify(&self, ended: &[Uuid]) {
        for operation in ended.iter().filter_map(|id| self.operations.get(id)) {
            if let Some(operation) = operation.upgrade() {
                operation.notify_waiters();
            }
        }
    }
}

impl Awaited {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}

impl Repository {
    /// Waits until the operation has ended, for so long at most, or until the service shuts down. Returns whether it has ended.
    pub async fn until_ended(&self, operation_id: Uuid, longest: Duration) -> bool {
        let ended = self.awaited.lock().add(operation_id);
        self.ask_while_somebody_waits();
        tokio::select! {
            waited = timeout(longest, ended.notified()) => waited.is_ok(),
            () = self.awaited.shutting_down.cancelled() => false,
        }
    }

    /// Ends every wait, so that the callers are answered before the service stops.
    pub fn stop_waiting(&self) {
        self.awaited.shutting_down.cancel();
    }

    fn ask_while_somebody_waits(&self) {
        let is_asking = std::mem::replace(&mut self.awaited.lock().is_asking, true);
        if !is_asking {
            let repository = self.clone();
            self.tasks.start(async move { repository.ask().await });
        }
    }

    /// Ends once nobody waits any more.
    async fn ask(&self) {
        loop {
            sleep(ASK_INTERVAL).await;
            let operations = {
                let mut state = self.awaited.lock();
                let operations = state.awaited();
                state.is_asking = !operations.is_empty();
                operations
            };
            if operations.is_empty() {
                return;
            }
            let ended = self.upkeep.run_once(self.upkeep.deadline(), &operations, |connection, operations| {
                Box::pin(ended_operations(connection, operations))
            });
            // Without an answer, the next statement asks again.
            if let Ok(ended) = ended.await {
                self.awaited.lock().notify(&ended);
            }
        }
    }
}

async fn ended_operations(connection: &mut PgConnection, operations: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    let statement = sqlx::query_file_scalar!("src/repository/sql/ended_operations.sql", operations);
    observed("ended_operations", statement.fetch_all(connection)).await
}

#[cfg(test)]
mod tests {
    use super::*;

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
