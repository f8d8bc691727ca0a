//! Calls that wait share one statement.
//!
//! There are as many turns as sessions, and a deletion needs one. A call that finds a turn takes it and runs alone, at once:
//! nobody waits for company. Only when every session is busy does a call queue, and the turn that comes free goes to the call that
//! has waited longest, together with those behind it that may share its statement (`sql/share_*.sql`): one round trip and one
//! transaction, in which each call has all of its rows deleted or none.
//!
//! That statement waits for no lock, and decides nothing but success. A call that it does not get through (a row is held or
//! unknown, the customer is another's), and every call of a statement that fails, takes its place at the head of the queue and
//! goes on alone in the ordinary way, which waits, refuses and records. So what holds one call up never holds up another. After a
//! connection that broke in the middle nobody knows whether the calls were done; the ordinary way finds out, as it does after a
//! try of its own: by the operation's id. A statement without an answer is given up while its calls still have time for that.
//!
//! What may share a statement: calls of the same resource, without an idempotency key, with no id in common, of few ids. A resource
//! to which other rows refer goes alone, because its deletion may wait for another service that inserts one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span};
use uuid::Uuid;

use super::database::Database;
use super::statements;
use crate::config;
use crate::error::Error;
use crate::operation::Deletion;
use crate::telemetry::metrics;

/// The most calls of one statement.
const MOST_CALLS: usize = 16;

/// The most ids of one statement. A call of more has little to gain, and would keep the others waiting.
const MOST_IDS: usize = 64;

/// Where deletions wait for a session. Cheap to clone.
#[derive(Clone)]
pub struct Sharing(Arc<Inner>);

struct Inner {
    database: Database,
    runtime: Handle,
    tasks: TaskTracker,
    longest_wait: Duration,
    longest_statement: Duration,
    calls: Mutex<WaitingCalls>,
}

/// What a call gets by waiting.
pub enum Reached {
    /// Its rows are deleted and its operation is recorded, in one statement with others.
    Deleted,
    /// It may work on a session, for as long as it keeps the turn.
    Turn(Turn),
}

/// The right to work on a session. Dropped, it goes to whoever waits.
pub struct Turn(Arc<Inner>);

impl Sharing {
    /// Shared statements are done in the runtime, as tasks of their own.
    pub fn new(settings: &config::Database, database: Database, runtime: Handle, tasks: TaskTracker) -> Sharing {
        let calls = WaitingCalls { free_turns: settings.max_connections, waiting: VecDeque::new() };
        Sharing(Arc::new(Inner {
            database,
            runtime,
            tasks,
            longest_wait: settings.acquire_timeout(),
            longest_statement: settings.statement_timeout() / 2,
            calls: Mutex::new(calls),
        }))
    }

    /// Waits for a turn, no longer than for a connection, or until the call was done together with others.
    pub async fn reach(&self, deadline: Instant, deletion: &Arc<Deletion>) -> Result<Reached, Error> {
        let Some(mut reached) = self.enqueue(deletion) else { return Ok(Reached::Turn(self.turn())) };
        let began = Instant::now();
        let longest_wait = deadline.min(began + self.0.longest_wait);
        let mut result = timeout_at(longest_wait, &mut reached).await;
        if result.is_err() && !self.0.lock().leave(deletion.operation_id) {
            // It is in a statement by now, or already has its turn.
            result = timeout_at(deadline, &mut reached).await;
        }
        match result {
            Ok(Ok(reached)) => Ok(reached),
            Ok(Err(_)) => Err(Error::Defect("a shared statement ended without saying what it did".to_owned())),
            Err(_) => {
                metrics::waited_for_connection(self.0.longest_wait, true);
                Err(self.0.database.waited_in_vain(began, self.0.longest_wait))
            }
        }
    }

    /// None where a turn was free: it is the call's now.
    fn enqueue(&self, deletion: &Arc<Deletion>) -> Option<oneshot::Receiver<Reached>> {
        let mut calls = self.0.lock();
        if let Some(rest) = calls.free_turns.checked_sub(1) {
            calls.free_turns = rest;
            return None;
        }
        let (reached, receiver) = oneshot::channel();
        let shares = may_share(deletion);
        let deletion = Arc::clone(deletion);
        calls.waiting.push_back(Waiting { deletion, since: Instant::now(), shares, reached, span: Span::current() });
        tracing::trace!(waiting = calls.waiting.len(), "a call waits for a connection");
        Some(receiver)
    }

    fn turn(&self) -> Turn {
        Turn(Arc::clone(&self.0))
    }
}

fn may_share(deletion: &Deletion) -> bool {
    deletion.resource.rules().reference.is_none()
        && deletion.idempotency_key.is_none()
        && deletion.targets.count() <= MOST_IDS
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = self.0.lock().next();
        if !next.is_empty() {
            Inner::admit(&self.0, next);
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, WaitingCalls> {
        self.calls.lock().expect("nothing panics while it holds this lock")
    }

    /// Gives a turn to the call, or to a statement for all of them.
    fn admit(inner: &Arc<Inner>, calls: Vec<Waiting>) {
        calls.iter().for_each(|call| metrics::waited_for_connection(call.since.elapsed(), false));
        let turn = Turn(Arc::clone(inner));
        match <[Waiting; 1]>::try_from(calls) {
            // Where the call has gone in between, the turn comes back and goes on.
            Ok([call]) => drop(call.reached.send(Reached::Turn(turn))),
            Err(calls) => {
                let span = calls[0].span.clone();
                inner.tasks.spawn_on(turn.share(calls).instrument(span), &inner.runtime);
            }
        }
    }
}

impl Turn {
    /// Does the calls together. What one of them needs and cannot have at once costs the others nothing.
    async fn share(self, calls: Vec<Waiting>) {
        let inner = &self.0;
        let resource = calls[0].deletion.resource;
        let deletions: Arc<[Arc<Deletion>]> = calls.iter().map(|call| Arc::clone(&call.deletion)).collect();
        let shared = inner.database.run_once(Instant::now() + inner.longest_statement, |connection| {
            let deletions = Arc::clone(&deletions);
            Box::pin(async move { statements::share(connection, resource, &deletions).await })
        });
        let done = shared.await.unwrap_or_else(|error| {
            tracing::warn!(%error, calls = deletions.len(), "calls that shared a statement go on alone");
            Vec::new()
        });
        metrics::shared(resource, done.len(), deletions.len() - done.len());
        inner.lock().settle(calls, &done);
    }
}

/// The calls that wait, in the order in which they came. Nobody waits while a turn is free.
struct WaitingCalls {
    free_turns: u32,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    deletion: Arc<Deletion>,
    since: Instant,
    /// Whether it may be done together with others.
    shares: bool,
    reached: oneshot::Sender<Reached>,
    span: Span,
}

impl WaitingCalls {
    /// The call that has waited longest, with those that share its statement. When there is none, the turn is free.
    fn next(&mut self) -> Vec<Waiting> {
        self.waiting.retain(|call| !call.reached.is_closed());
        let Some(first) = self.waiting.pop_front() else {
            self.free_turns += 1;
            return Vec::new();
        };
        let mut company = vec![first];
        let mut ids: Vec<Uuid> = company[0].deletion.targets.as_slice().to_vec();
        let mut place = 0;
        while place < self.waiting.len() && company.len() < MOST_CALLS {
            if fits(&company[0], &ids, &self.waiting[place]) {
                let call = self.waiting.remove(place).expect("the place is in the queue");
                ids.extend(call.deletion.targets.as_slice());
                company.push(call);
            } else {
                place += 1;
            }
        }
        company
    }

    /// Takes a call out that waits no longer. False where it is not in the queue.
    fn leave(&mut self, operation_id: Uuid) -> bool {
        let place = self.waiting.iter().position(|call| call.deletion.operation_id == operation_id);
        place.and_then(|place| self.waiting.remove(place)).is_some()
    }

    /// Tells the calls that are done, and puts the others at the head, to go on alone.
    fn settle(&mut self, calls: Vec<Waiting>, done: &[Uuid]) {
        for call in calls.into_iter().rev() {
            if done.contains(&call.deletion.operation_id) {
                // A call that has gone in between is done all the same.
                let _ = call.reached.send(Reached::Deleted);
            } else {
                self.waiting.push_front(Waiting { since: Instant::now(), shares: false, ..call });
            }
        }
    }
}

/// Whether the call may be done in the statement of the first, which has these ids by now.
fn fits(first: &Waiting, ids: &[Uuid], call: &Waiting) -> bool {
    let wanted = call.deletion.targets.as_slice();
    first.shares
        && call.shares
        && first.deletion.resource == call.deletion.resource
        && ids.len() + wanted.len() <= MOST_IDS
        && !wanted.iter().any(|id| ids.contains(id))
}
