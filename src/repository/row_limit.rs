//! Limits the rows that a requester may delete in an hour, over all replicas.
//!
//! One transaction locks the requester, counts, and deletes. The count includes every earlier call,
//! so the limit is exact. The lock is advisory: a requester may have no row, and deletions lock its
//! row for other reasons.
//!
//! The calls of a requester wait for each other in this replica first, without a session. So they
//! never have more than one of its sessions, and leave the others to other requesters.
//!
//! Without the setting there is no [`RowLimit`], and a deletion runs no additional statement.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use sqlx::PgConnection;
use tokio::sync::{Mutex as RequesterLock, OwnedMutexGuard};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::database::observed::observed;
use crate::error::Error;
use crate::operation::Deletion;

/// The shortest time after which a call over the limit may be tried again. An open operation may
/// end at any time.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// Cheap to clone.
#[derive(Clone)]
pub struct RowLimit {
    rows: i64,
    /// The lock of each requester with calls in progress.
    locks: Arc<Mutex<HashMap<Uuid, Weak<RequesterLock<()>>>>>,
}

impl RowLimit {
    pub fn new(rows: NonZeroU32) -> RowLimit {
        RowLimit { rows: rows.get().into(), locks: Arc::default() }
    }

    /// Locks the requester in this replica, once its earlier calls are done.
    pub async fn lock(&self, deadline: Instant, requester_id: Uuid) -> Result<OwnedMutexGuard<()>, Error> {
        let lock = self.lock_of(requester_id);
        timeout_at(deadline, lock.lock_owned()).await.map_err(|_| {
            Error::Unavailable("the requester's other calls are counted first, and did not end in time".to_owned())
        })
    }

    fn lock_of(&self, requester_id: Uuid) -> Arc<RequesterLock<()>> {
        let mut locks = self.locks.lock().expect("nothing panics while it holds this lock");
        if let Some(lock) = locks.get(&requester_id).and_then(Weak::upgrade) {
            return lock;
        }
        locks.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::default();
        locks.insert(requester_id, Arc::downgrade(&lock));
        lock
    }

    /// Returns the time until the call would fit, or `None` if it fits now. Other limited calls of
    /// the requester wait until the transaction ends.
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
    async fn calls_of_one_requester_wait_for_each_other_and_idle_requesters_are_forgotten() {
        let limit = RowLimit::new(NonZeroU32::MIN);
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let first = limit.lock(Instant::now(), one).await.unwrap();
        assert!(matches!(limit.lock(Instant::now(), one).await, Err(Error::Unavailable(_))));
        let second = limit.lock(Instant::now(), other).await.unwrap();
        drop(first);
        drop(limit.lock(Instant::now(), one).await.unwrap());
        assert_eq!(limit.locks.lock().unwrap().len(), 2);
        drop(second);
        drop(limit.lock(Instant::now(), Uuid::from_u128(3)).await.unwrap());
        assert_eq!(limit.locks.lock().unwrap().len(), 1);
    }
}
