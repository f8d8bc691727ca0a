//! Does the operations that wait in the queue, one after the other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::{End, Leased, Queue};
use crate::error::{Code, Error};
use crate::operation::Status;
use crate::repository::Repository;
use crate::telemetry::outage::Outage;
use crate::telemetry::{metrics, traces};

/// How often a worker that has nothing to do looks for what other replicas accepted. What its own replica accepts wakes it.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Workers, until they are told to stop. Dropped, they end in the middle of what they do, and another replica does it again.
pub struct Workers {
    queue: Queue,
    tasks: JoinSet<()>,
    stop: CancellationToken,
    at_work: AtWork,
}

/// What each worker is doing, by its number.
type AtWork = Arc<Mutex<HashMap<usize, Arc<Leased>>>>;

impl Workers {
    pub fn start(number: usize, repository: &Repository, queue: Queue) -> Workers {
        let stop = CancellationToken::new();
        let (mut tasks, at_work) = (JoinSet::new(), AtWork::default());
        for number in 0..number {
            let worker = Worker {
                number,
                repository: repository.clone(),
                queue: queue.clone(),
                stop: stop.clone(),
                at_work: Arc::clone(&at_work),
            };
            tasks.spawn(worker.work_for_good());
        }
        Workers { queue, tasks, stop, at_work }
    }

    /// No further operation is begun from now on.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Lets the operations that are being done end, for so long. What takes longer is handed back: its transaction ends without an
    /// effect, and its turn is another replica's.
    pub async fn end(mut self, patience: Duration) {
        self.stop();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(patience, ended).await.is_err() {
            tracing::warn!(?patience, "an operation takes longer, and is handed back to the queue");
            self.tasks.shutdown().await;
            let broken_off: Vec<_> = lock(&self.at_work).drain().map(|(_, leased)| leased).collect();
            join_all(broken_off.iter().map(|leased| hand_back(&self.queue, leased))).await;
        }
        self.queue.close().await;
    }
}

fn lock(at_work: &AtWork) -> MutexGuard<'_, HashMap<usize, Arc<Leased>>> {
    at_work.lock().expect("nothing panics while it holds this lock")
}

/// Where it cannot be done, the lease ends by itself, and counts as an attempt.
async fn hand_back(queue: &Queue, leased: &Arc<Leased>) {
    if let Err(error) = queue.hand_back(leased).await {
        tracing::warn!(request_id = %leased.deletion.operation_id, %error, "an operation could not be handed back");
    }
}

/// A defect that ends the work in the middle must not end it for ever: its operation has the next attempt, and so have others.
async fn again_after_panics<W>(work: impl Fn() -> W)
where
    W: Future<Output = ()> + Send + 'static,
{
    while let Err(panic) = AbortOnDropHandle::new(tokio::spawn(work())).await {
        tracing::error!(%panic, "a worker broke off, and begins again");
        sleep(POLL_INTERVAL).await;
    }
}

#[derive(Clone)]
struct Worker {
    number: usize,
    repository: Repository,
    queue: Queue,
    stop: CancellationToken,
    at_work: AtWork,
}

impl Worker {
    async fn work_for_good(self) {
        again_after_panics(|| self.clone().work()).await;
    }

    async fn work(self) {
        let mut outage = Outage::default();
        while !self.stop.is_cancelled() {
            let claimed = self.queue.claim().await;
            match (&claimed, outage.note(claimed.is_ok(), Instant::now())) {
                (Err(error), true) => tracing::warn!(%error, "the queue cannot be asked, and accepted operations wait"),
                (Ok(_), true) => tracing::info!("the queue can be asked again"),
                (_, false) => {}
            }
            match claimed {
                Ok(Some(leased)) if self.stop.is_cancelled() => hand_back(&self.queue, &Arc::new(leased)).await,
                Ok(Some(leased)) => {
                    let leased = Arc::new(leased);
                    lock(&self.at_work).insert(self.number, Arc::clone(&leased));
                    self.attempt(leased).await;
                    lock(&self.at_work).remove(&self.number);
                }
                Ok(None) | Err(_) => self.rest().await,
            }
        }
    }

    /// Until something may have come, or there is nothing to do any more.
    async fn rest(&self) {
        tokio::select! {
            () = self.repository.something_was_accepted() => {}
            () = sleep(POLL_INTERVAL) => {}
            () = self.stop.cancelled() => {}
        }
    }

    async fn attempt(&self, leased: Arc<Leased>) {
        let deletion = &leased.deletion;
        let span = tracing::info_span!(
            target: traces::TARGET,
            "operation",
            otel.kind = "consumer",
            otel.name = "operation",
            otel.status_code = Empty,
            error.type = Empty,
            customer_deletion.request_id = %deletion.operation_id,
            customer_deletion.error_code = Empty,
        );
        if leased.attempts() == 1 {
            metrics::waited_in_queue(leased.waited);
        }
        let began = Instant::now();
        let result = self.queue.attempt(&leased).instrument(span.clone()).await;
        metrics::attempted(deletion.resource, began.elapsed(), result.is_err());
        trace(&span, &result);
        match result {
            Ok(Some(end)) => report(&leased, &end, began.elapsed()),
            Ok(None) => tracing::info!(request_id = %deletion.operation_id, "another attempt has the operation"),
            Err(error) => self.attempt_failed(leased, error).instrument(span).await,
        }
    }

    async fn attempt_failed(&self, leased: Arc<Leased>, error: Error) {
        let request_id = leased.deletion.operation_id;
        tracing::warn!(%request_id, attempts = leased.attempts(), %error, "an attempt at an operation failed");
        match self.queue.attempt_failed(&leased).await {
            Ok(Some(end)) => report(&leased, &end, Duration::ZERO),
            Ok(None) => {}
            // Its lease ends by itself.
            Err(error) => tracing::warn!(%request_id, %error, "an operation could not be put back"),
        }
    }
}

/// A refusal is no failure of the service.
fn trace(span: &Span, result: &Result<Option<End>, Error>) {
    let code = match result {
        Ok(end) => end.as_ref().and_then(|end| end.code),
        Err(error) => error.code().ok(),
    };
    span.record("customer_deletion.error_code", code.map(Code::name));
    if code == Some(Code::GLOBAL_1001) {
        traces::fail(span, Code::GLOBAL_1001.name());
    }
}

/// The one line of an operation that ended.
fn report(leased: &Leased, end: &End, took: Duration) {
    let deletion = &leased.deletion;
    if end.status == Status::InternalError {
        metrics::given_up(deletion.resource);
    }

    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                request_id = %deletion.operation_id,
                requester_id = %deletion.requester_id,
                customer_id = %deletion.customer_id,
                resource = deletion.resource.word(),
                ids = deletion.targets.count(),
                operation_status = end.status.name(),
                code = end.code.map(Code::name),
                attempts = leased.attempts(),
                waited_ms = leased.waited.as_millis() as u64,
                duration_ms = took.as_millis() as u64,
                "operation"
            )
        };
    }
    if end.code == Some(Code::GLOBAL_1001) { line!(error) } else { line!(info) }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn work_that_panics_begins_again_until_it_has_ended() {
        let begun = Arc::new(AtomicUsize::new(0));
        again_after_panics(|| {
            let begun = Arc::clone(&begun);
            async move { assert_ne!(begun.fetch_add(1, Ordering::SeqCst), 0, "a defect") }
        })
        .await;
        assert_eq!(begun.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn work_ends_when_nobody_waits_for_it_any_more() {
        let (held_by_the_work, dropped) = oneshot::channel::<()>();
        let held_by_the_work = Mutex::new(Some(held_by_the_work));
        let waiting = again_after_panics(move || {
            let held = held_by_the_work.lock().unwrap().take();
            async move {
                let _held = held;
                std::future::pending::<()>().await;
            }
        });
        assert!(timeout(Duration::from_millis(50), waiting).await.is_err());
        assert!(dropped.await.is_err());
    }
}
