//! Limits the rows that a requester may delete in an hour, over all replicas.
//!
//! The count and the deletion are one transaction, which first takes a lock of its requester. So the count has the rows of every
//! earlier call, and the limit is exact. The lock is an advisory one: the row of the requester may be locked by a deletion anyway, and
//! a requester without a row has a limit too.
//!
//! The calls of a requester wait for each other in this replica first, without a session. So they never have more than one of its
//! sessions, and leave the others to other requesters.
//!
//! Without the setting there is no [`RowLimit`], and a deletion runs no additional statement.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use sqlx::PgConnection;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::database::observed::observed;
use crate::error::Error;
use crate::operation::Deletion;

/// The shortest time after which a call over the limit may be tried again. An open operation may end at any time.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// Cheap to clone.
#[derive(Clone)]
pub struct RowLimit {
    rows: i64,
    /// The requesters with calls in progress.
    turns: Arc<Mutex<HashMap<Uuid, Weak<Turn<()>>>>>,
}

impl RowLimit {
    pub fn new(rows: NonZeroU32) -> RowLimit {
        RowLimit { rows: rows.get().into(), turns: Arc::default() }
    }

    /// Waits until the earlier calls of the requester in this replica are done.
    pub async fn turn(&self, deadline: Instant, requester_id: Uuid) -> Result<OwnedMutexGuard<()>, Error> {
        let turn = self.turn_of(requester_id);
        timeout_at(deadline, turn.lock_owned()).await.map_err(|_| {
            Error::Unavailable("the requester's other calls take longer, and its rows are counted".to_owned())
        })
    }

    fn turn_of(&self, requester_id: Uuid) -> Arc<Turn<()>> {
        let mut turns = self.turns.lock().expect("nothing panics while it holds this lock");
        if let Some(turn) = turns.get(&requester_id).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        turns.insert(requester_id, Arc::downgrade(&turn));
        turn
    }

    /// Returns the time until the call would fit, or `None` if it fits now. Other limited calls of the requester wait until the
    /// transaction ends.
    pub async fn wait(&self, tx: &mut PgConnection, deletion: &Deletion) -> sqlx::Result<Option<Duration>> {
        let lock = sqlx::query_file!("src/repository/sql/lock_requester.sql", deletion.requester_id);
        observed("lock_requester", lock.fetch_one(&mut *tx)).await?;
        // A statement of its own, because its snapshot must be younger than the lock.
        let count = sqlx::query_file_scalar!(
            "src/repository/sql/count_deleted_rows.sql",
            deletion.requester_id,
            deletion.targets.count() as i64,
            self.rows,
        );
        let seconds = observed("count_deleted_rows", count.fetch_one(tx)).await?;
        Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default().max(SHORTEST_WAIT)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn calls_of_one_requester_take_turns_and_idle_requesters_are_forgotten() {
        let limit = RowLimit::new(NonZeroU32::MIN);
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let first = limit.turn(Instant::now(), one).await.unwrap();
        assert!(matches!(limit.turn(Instant::now(), one).await, Err(Error::Unavailable(_))));
        let second = limit.turn(Instant::now(), other).await.unwrap();
        drop(first);
        drop(limit.turn(Instant::now(), one).await.unwrap());
        assert_eq!(limit.turns.lock().unwrap().len(), 2);
        drop(second);
        drop(limit.turn(Instant::now(), Uuid::from_u128(3)).await.unwrap());
        assert_eq!(limit.turns.lock().unwrap().len(), 1);
    }
}
