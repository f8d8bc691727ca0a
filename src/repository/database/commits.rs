//! Commits that wait for a synchronous standby.
//!
//! PostgreSQL has no time limit for this wait. While the standby is away, the session of a call
//! stays in its commit after the call was given up. It is not cancelled. A cancellation ends the
//! wait but not the commit, so callers would see a deletion that a failover can lose. So such a
//! session counts as one of the pool until its commit ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::PgConnection;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard};
use tokio::time::Instant;

use super::Database;
use super::observed::observed;
use crate::error::Error;

/// A commit that ended proves for this time that commits end.
const PROVEN_FOR: Duration = Duration::from_secs(10);

/// The numbers of sessions of a pool. Cheap to clone.
#[derive(Clone, Default)]
pub struct SessionCounts(Arc<Counts>);

#[derive(Default)]
struct Counts {
    open: AtomicUsize,
    /// The process ids of the sessions that were closed in the middle of a statement.
    abandoned: Mutex<Vec<i32>>,
    /// The abandoned sessions whose commit waited when this was last asked. Written under the lock
    /// of `abandoned`.
    waiting: AtomicUsize,
    opening: AsyncMutex<()>,
}

/// An abandoned session that PostgreSQL has not ended yet.
struct Running {
    pid: i32,
    commit_waits: bool,
}

/// Counts a session as open until it is dropped.
pub struct SessionGuard {
    counts: SessionCounts,
    /// `None` behind a pooler, where a session has no process of its own.
    pid: Option<i32>,
}

/// The right to open a session.
pub struct OpeningGuard<'a>(#[allow(dead_code, reason = "it is held")] Option<AsyncMutexGuard<'a, ()>>);

impl SessionCounts {
    /// Returns `None` while commits wait and another session is being opened. Two openings at once
    /// could exceed the limit.
    pub fn begin_opening(&self) -> Option<OpeningGuard<'_>> {
        if self.last_waiting() == 0 {
            return Some(OpeningGuard(None));
        }
        self.0.opening.try_lock().ok().map(|guard| OpeningGuard(Some(guard)))
    }

    pub fn count_opened(&self, pid: Option<i32>) -> SessionGuard {
        // PostgreSQL has given the process id to another session, so the abandoned one has ended.
        self.0.abandoned.lock().retain(|abandoned| Some(*abandoned) != pid);
        self.0.open.fetch_add(1, Ordering::Relaxed);
        SessionGuard { counts: self.clone(), pid }
    }

    pub fn open_count(&self) -> usize {
        self.0.open.load(Ordering::Relaxed)
    }

    /// Counts the abandoned sessions whose commit waits, and forgets those that have ended. Runs no
    /// statement if no session was abandoned.
    pub async fn waiting(&self, session: &mut PgConnection) -> sqlx::Result<usize> {
        let asked = self.0.abandoned.lock().clone();
        if !asked.is_empty() {
            let statement = sqlx::query_file_as!(Running, "src/repository/sql/running_sessions.sql", &asked);
            let running = observed("running_sessions", statement.fetch_all(session)).await?;
            self.found(&asked, &running);
        }
        Ok(self.last_waiting())
    }

    /// Another check may have been answered meanwhile. A session that it found to have ended does
    /// not count again.
    fn found(&self, asked: &[i32], running: &[Running]) {
        let mut abandoned = self.0.abandoned.lock();
        abandoned.retain(|pid| !asked.contains(pid) || running.iter().any(|session| session.pid == *pid));
        let waits = |session: &&Running| session.commit_waits && abandoned.contains(&session.pid);
        self.0.waiting.store(running.iter().filter(waits).count(), Ordering::Relaxed);
    }

    pub fn last_waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    pub fn abandoned_count(&self) -> usize {
        self.0.abandoned.lock().len()
    }
}

impl SessionGuard {
    /// The session is closed in the middle of a statement.
    pub fn abandon(&self) {
        self.counts.0.abandoned.lock().extend(self.pid);
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        self.counts.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The reason why no session is opened, and why the service is not ready.
pub fn reason(waiting: usize) -> String {
    let commits = if waiting == 1 { "1 commit waits".to_owned() } else { format!("{waiting} commits wait") };
    format!("{commits} for a synchronous standby that does not answer (synchronous_standby_names)")
}

/// The proof that commits end.
#[derive(Default)]
pub struct CommitProof(Mutex<Option<Instant>>);

impl CommitProof {
    /// Commits a message to the WAL, unless that was done a moment ago. Fails with
    /// [`Error::Unavailable`] if this commit, or that of a call that was given up, does not end.
    pub async fn renew(&self, database: &Database) -> Result<(), Error> {
        let (deadline, counts) = (database.deadline(), database.sessions.counts());
        let waiting = database.run(deadline, counts, |connection, counts| Box::pin(counts.waiting(connection)));
        // Another message would wait as well, and occupy another session.
        if let waiting @ 1.. = waiting.await? {
            *self.0.lock() = None;
            return Err(Error::Unavailable(reason(waiting)));
        }
        if self.0.lock().is_some_and(|last| last.elapsed() < PROVEN_FOR) {
            return Ok(());
        }
        database.run(deadline, &(), |connection, ()| Box::pin(commit_message(connection))).await?;
        *self.0.lock() = Some(Instant::now());
        Ok(())
    }
}

async fn commit_message(connection: &mut PgConnection) -> sqlx::Result<()> {
    let statement = sqlx::query_file!("src/repository/sql/prove_commit.sql");
    observed("prove_commit", statement.fetch_one(connection)).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_session_at_a_time_is_opened_while_commits_wait() {
        let counts = SessionCounts::default();
        let guards = [counts.begin_opening(), counts.begin_opening()];
        assert!(guards.iter().all(Option::is_some));
        counts.0.waiting.store(1, Ordering::Relaxed);
        let guard = counts.begin_opening();
        assert!(guard.is_some() && counts.begin_opening().is_none());
        drop(guard);
        assert!(counts.begin_opening().is_some());
    }

    #[test]
    fn an_answer_that_comes_late_counts_no_session_that_has_ended() {
        let counts = SessionCounts::default();
        let session = counts.count_opened(Some(7));
        session.abandon();
        let waits = [Running { pid: 7, commit_waits: true }];
        counts.found(&[7], &waits);
        assert_eq!(counts.last_waiting(), 1);
        counts.found(&[7], &[]);
        counts.found(&[7], &waits);
        assert_eq!((counts.last_waiting(), counts.0.abandoned.lock().len()), (0, 0));
    }

    #[test]
    fn a_session_that_is_not_at_its_commit_yet_is_remembered() {
        let counts = SessionCounts::default();
        counts.count_opened(Some(7)).abandon();
        counts.found(&[7], &[Running { pid: 7, commit_waits: false }]);
        assert_eq!((counts.last_waiting(), counts.0.abandoned.lock().clone()), (0, vec![7]));
    }

    #[test]
    fn an_abandoned_session_counts_until_it_is_found_to_have_ended_or_its_process_id_returns() {
        let counts = SessionCounts::default();
        for pid in [7, 8, 9] {
            counts.count_opened(Some(pid)).abandon();
        }
        counts.found(&[7, 8], &[Running { pid: 8, commit_waits: false }]);
        assert_eq!(*counts.0.abandoned.lock(), [8, 9]);
        let returned = counts.count_opened(Some(9));
        assert_eq!((counts.abandoned_count(), counts.open_count()), (1, 1));
        drop(returned);
    }

    #[test]
    fn a_session_is_counted_until_it_is_dropped() {
        let counts = SessionCounts::default();
        let (of_process, behind_pooler) = (counts.count_opened(Some(7)), counts.count_opened(None));
        of_process.abandon();
        behind_pooler.abandon();
        assert_eq!((counts.open_count(), counts.0.abandoned.lock().clone()), (2, vec![7]));
        drop(of_process);
        assert_eq!(counts.open_count(), 1);
    }
}
