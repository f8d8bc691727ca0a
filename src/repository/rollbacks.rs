//! Bounds the cost of lists that are refused in part.
//!
//! A deletion learns only after its update that rows of its list cannot be deleted. PostgreSQL then
//! rolls back the update and logs an error. So a long list is inspected first, and so is every call
//! of a requester with a rollback in the last minute. Then a refusal writes only its operation.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use uuid::Uuid;

use crate::operation::Deletion;

/// The longest list that is tried before it is inspected.
const LONGEST_UNINSPECTED: usize = 100;

/// After a rollback, the calls of the requester are inspected for this long.
const INSPECTED_FOR: Duration = Duration::from_secs(60);

/// The largest number of requesters that are remembered. At this number, requesters without a
/// rollback in the last minute are forgotten. If there is none of these, all are forgotten.
const MOST_REQUESTERS: usize = 10_000;

/// The requesters with a list that was rolled back. Cheap to clone.
#[derive(Clone, Default)]
pub struct Rollbacks(Arc<Mutex<HashMap<Uuid, Instant>>>);

impl Rollbacks {
    /// Whether the call is to be inspected before it is tried.
    pub fn must_inspect(&self, deletion: &Deletion) -> bool {
        is_long(deletion) || self.has_recent(deletion.requester_id, Instant::now())
    }

    /// Remembers that a list of the requester was rolled back.
    pub fn remember(&self, requester_id: Uuid) {
        self.remember_at(requester_id, Instant::now());
    }

    fn has_recent(&self, requester_id: Uuid, now: Instant) -> bool {
        self.0.lock().get(&requester_id).is_some_and(|at| is_recent(*at, now))
    }

    fn remember_at(&self, requester_id: Uuid, now: Instant) {
        let mut requesters = self.0.lock();
        if requesters.len() >= MOST_REQUESTERS {
            requesters.retain(|_, at| is_recent(*at, now));
        }
        if requesters.len() >= MOST_REQUESTERS {
            requesters.clear();
        }
        requesters.insert(requester_id, now);
    }
}

/// Whether a rollback of the list would cost too much.
fn is_long(deletion: &Deletion) -> bool {
    deletion.targets.count() > LONGEST_UNINSPECTED
}

fn is_recent(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < INSPECTED_FOR
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requester_is_remembered_for_a_minute() {
        let (rollbacks, requester, at) = (Rollbacks::default(), Uuid::now_v7(), Instant::now());
        assert!(!rollbacks.has_recent(requester, at));
        rollbacks.remember_at(requester, at);
        assert!(rollbacks.has_recent(requester, at + Duration::from_secs(59)));
        assert!(!rollbacks.has_recent(requester, at + INSPECTED_FOR));
        assert!(!rollbacks.has_recent(Uuid::now_v7(), at));
    }

    #[test]
    fn no_more_than_so_many_requesters_are_remembered() {
        let (rollbacks, at) = (Rollbacks::default(), Instant::now());
        let remember = |count, at| (0..count).for_each(|_| rollbacks.remember_at(Uuid::now_v7(), at));
        remember(MOST_REQUESTERS - 1, at);
        let later = at + INSPECTED_FOR;
        remember(1, later);
        assert_eq!(rollbacks.0.lock().len(), MOST_REQUESTERS);
        remember(1, later);
        assert_eq!(rollbacks.0.lock().len(), 2);
        remember(MOST_REQUESTERS - 1, later);
        assert_eq!(rollbacks.0.lock().len(), 1);
    }
}
