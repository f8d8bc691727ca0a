//! Calls that wait for a session share one statement.
//!
//! A deletion needs a session turn. There are as many turns as sessions. A call that finds a free
//! turn runs alone, at once. Otherwise it waits. A turn that becomes free goes to the oldest
//! waiting call, and to those that may share its statement (`sql/share_*.sql`): see `schedule`. The
//! statement is one round trip and one transaction. It deletes all rows of a call or none.
//!
//! The shared statement waits for no row lock, and never decides that a call is refused. A call
//! that it skips runs next, alone, in the usual way. So does every call of a statement that failed.
//! If the connection broke, the usual way finds a committed call by its operation id. A statement
//! that does not answer is given up early enough for its calls to run alone.

mod schedule;
mod statement;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, Span};
use uuid::Uuid;

use self::schedule::{Schedule, Waiting};
use super::database::Database;
use super::tasks::Tasks;
use crate::config::DatabaseSettings;
use crate::error::Error;
use crate::operation::Deletion;
use crate::telemetry::metrics;

/// The session turns. Cheap to clone.
#[derive(Clone)]
pub struct Sharing(Arc<Inner>);

struct Inner {
    database: Database,
    /// Each shared statement is a task of its own.
    tasks: Tasks,
    longest_wait: Duration,
    longest_statement: Duration,
    schedule: Mutex<Schedule<Caller>>,
}

/// The task of a call that waits.
struct Caller {
    since: Instant,
    granted: oneshot::Sender<Granted>,
    span: Span,
}

pub enum Granted {
    /// The rows are deleted and the operation is recorded, in one statement with others.
    Deletion,
    /// The call may use a session, as long as it keeps the turn.
    Turn(SessionTurn),
}

/// The right to use a session. When it is dropped, it passes to the next call.
pub struct SessionTurn(Arc<Inner>);

impl Sharing {
    pub fn new(settings: &DatabaseSettings, database: Database, tasks: Tasks) -> Sharing {
        Sharing(Arc::new(Inner {
            database,
            tasks,
            longest_wait: settings.acquire_timeout(),
            longest_statement: settings.statement_timeout() / 2,
            schedule: Mutex::new(Schedule::new(settings.max_connections)),
        }))
    }

    /// Waits for a turn for as long as a call may wait for a connection, or until a shared
    /// statement has deleted the rows.
    pub async fn wait(&self, deadline: Instant, deletion: &Arc<Deletion>) -> Result<Granted, Error> {
        let Some(mut granted) = self.wait_for_turn(deletion) else {
            return Ok(Granted::Turn(SessionTurn(Arc::clone(&self.0))));
        };
        let began = Instant::now();
        let mut until = deadline.min(began + self.0.longest_wait);
        let mut result = timeout_at(until, &mut granted).await;
        if result.is_err() && !self.0.schedule.lock().leave(deletion.operation_id) {
            // By now the call is in a statement, or has its turn.
            until = deadline;
            result = timeout_at(until, &mut granted).await;
        }
        match result {
            Ok(Ok(granted)) => Ok(granted),
            Ok(Err(_)) => Err(Error::Defect("a shared statement ended without saying what it did".to_owned())),
            Err(_) => {
                metrics::waited_for_connection(began.elapsed(), true);
                Err(self.0.database.timed_out(began, until))
            }
        }
    }

    /// Returns `None` if the call has taken a free turn.
    fn wait_for_turn(&self, deletion: &Arc<Deletion>) -> Option<oneshot::Receiver<Granted>> {
        let mut schedule = self.0.schedule.lock();
        if schedule.take_free_turn() {
            return None;
        }
        let (granted, receiver) = oneshot::channel();
        let caller = Caller { since: Instant::now(), granted, span: Span::current() };
        let waiting = schedule.add_waiting(Arc::clone(deletion), caller);
        tracing::trace!(waiting, "a call waits for a connection");
        Some(receiver)
    }
}

impl Drop for SessionTurn {
    fn drop(&mut self) {
        let next = self.0.schedule.lock().next(|caller| caller.granted.is_closed());
        if !next.is_empty() {
            SessionTurn(Arc::clone(&self.0)).pass_to(next);
        }
    }
}

impl SessionTurn {
    /// Gives the turn to a call, or to a statement for several.
    fn pass_to(self, calls: Vec<Waiting<Caller>>) {
        calls.iter().for_each(|call| metrics::waited_for_connection(call.caller.since.elapsed(), false));
        match <[_; 1]>::try_from(calls) {
            // If the caller has left in between, the turn is dropped and passes on.
            Ok([call]) => drop(call.caller.granted.send(Granted::Turn(self))),
            Err(calls) => {
                let (tasks, span) = (self.0.tasks.clone(), calls[0].caller.span.clone());
                tasks.start(self.share(calls).instrument(span));
            }
        }
    }

    /// Runs the calls in one statement.
    async fn share(self, calls: Vec<Waiting<Caller>>) {
        let inner = &self.0;
        let resource = calls[0].deletion.resource;
        let deletions: Vec<_> = calls.iter().map(|call| Arc::clone(&call.deletion)).collect();
        let deadline = Instant::now() + inner.longest_statement;
        let shared = inner.database.run_once(deadline, &deletions, move |connection, deletions| {
            Box::pin(statement::share(connection, resource, deletions))
        });
        let deleted = shared.await.unwrap_or_else(|error| {
            tracing::warn!(%error, calls = deletions.len(), "calls that shared a statement are executed alone");
            Vec::new()
        });
        metrics::shared(resource, deleted.len(), deletions.len() - deleted.len());
        inner.settle(calls, &deleted);
    }
}

impl Inner {
    /// Answers the calls whose operations are recorded. The others are executed alone.
    fn settle(&self, calls: Vec<Waiting<Caller>>, recorded: &[Uuid]) {
        let is_recorded = |call: &Waiting<Caller>| recorded.contains(&call.deletion.operation_id);
        let (deleted, mut left_out): (Vec<_>, Vec<_>) = calls.into_iter().partition(is_recorded);
        for call in deleted {
            // Its caller may have left.
            let _ = call.caller.granted.send(Granted::Deletion);
        }
        left_out.iter_mut().for_each(|call| call.caller.since = Instant::now());
        self.schedule.lock().put_back(left_out);
    }
}
