//! Claims and attempts operations, one after the other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::Consumer;
use super::leased::{Leased, OperationEnd};
use crate::error::{Code, Error};
use crate::operation::Status;
use crate::telemetry::end::{log_end, milliseconds};
use crate::telemetry::outage::Outage;
use crate::telemetry::{metrics, traces};

/// An idle worker polls for operations that other replicas accepted. Those of its own replica wake
/// it.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The workers of this replica. If this is dropped, they end in the middle of their attempts, and
/// another replica repeats these.
pub struct Workers {
    consumer: Consumer,
    tasks: JoinSet<()>,
    stop: CancellationToken,
    at_work: AtWork,
}

/// The operation of each worker, by the worker's number.
type AtWork = Arc<Mutex<HashMap<usize, Arc<Leased>>>>;

impl Workers {
    pub fn start(number: usize, consumer: Consumer) -> Workers {
        let stop = CancellationToken::new();
        let (mut tasks, at_work) = (JoinSet::new(), AtWork::default());
        for number in 0..number {
            let worker =
                Worker { number, consumer: consumer.clone(), stop: stop.clone(), at_work: Arc::clone(&at_work) };
            tasks.spawn(again_after_panics(move || worker.clone().work()));
        }
        Workers { consumer, tasks, stop, at_work }
    }

    /// Stops claiming, and waits for running operations. After `patience` they are interrupted and
    /// handed back. An interrupted transaction has no effect, and another replica may claim the
    /// operation.
    pub async fn end(mut self, patience: Duration) {
        self.stop.cancel();
        tracing::debug!("no more operations are claimed");
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(patience, ended).await.is_err() {
            tracing::warn!(?patience, "an operation takes longer, and is handed back to the queue");
            self.tasks.shutdown().await;
            let interrupted: Vec<_> = self.at_work.lock().drain().map(|(_, leased)| leased).collect();
            join_all(interrupted.iter().map(|leased| hand_back(&self.consumer, leased))).await;
        }
        self.consumer.close().await;
    }
}

/// If it fails, the lease ends by itself, and counts as an attempt.
async fn hand_back(consumer: &Consumer, leased: &Leased) {
    if let Err(error) = consumer.hand_back(leased).await {
        tracing::warn!(request_id = %leased.deletion.operation_id, %error, "an operation could not be handed back");
    }
}

/// A panic must not end a worker for ever. Its operation gets another attempt, and other operations
/// are claimed.
async fn again_after_panics<W>(work: impl Fn() -> W)
where
    W: Future<Output = ()> + Send + 'static,
{
    while let Err(panic) = AbortOnDropHandle::new(tokio::spawn(work())).await {
        tracing::error!(%panic, "a worker panicked, and is restarted");
        sleep(POLL_INTERVAL).await;
    }
}

#[derive(Clone)]
struct Worker {
    number: usize,
    consumer: Consumer,
    stop: CancellationToken,
    at_work: AtWork,
}

impl Worker {
    async fn work(self) {
        let outage = Outage::default();
        while !self.stop.is_cancelled() {
            let claimed = self.consumer.claim().await;
            let (begin, end) =
                ("the queue cannot be read, and accepted operations wait", "the queue can be read again");
            outage.report(&claimed, begin, end);
            match claimed {
                Ok(Some(leased)) if self.stop.is_cancelled() => hand_back(&self.consumer, &leased).await,
                Ok(Some(leased)) => {
                    let leased = Arc::new(leased);
                    self.at_work.lock().insert(self.number, Arc::clone(&leased));
                    self.attempt(leased).await;
                    self.at_work.lock().remove(&self.number);
                }
                Ok(None) | Err(_) => self.pause().await,
            }
        }
    }

    /// Waits until there may be an operation, or the workers stop.
    async fn pause(&self) {
        tokio::select! {
            () = self.consumer.repository.accepted.notified() => {}
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
        if leased.attempts == 1 {
            metrics::waited_in_queue(leased.waited);
        }
        let began = Instant::now();
        let result = self.consumer.attempt(&leased).instrument(span.clone()).await;
        metrics::attempted(deletion.resource, began.elapsed(), result.is_err());
        trace(&span, &result);
        match result {
            Ok(Some(end)) => report(&leased, &end, began.elapsed()),
            Ok(None) => {
                tracing::info!(request_id = %deletion.operation_id, "another attempt has the operation, or it was cancelled")
            }
            Err(error) => self.attempt_failed(leased, error).instrument(span).await,
        }
    }

    async fn attempt_failed(&self, leased: Arc<Leased>, error: Error) {
        let request_id = leased.deletion.operation_id;
        tracing::warn!(%request_id, attempts = leased.attempts, %error, "an attempt at an operation failed");
        match self.consumer.attempt_failed(&leased).await {
            Ok(Some(end)) => report(&leased, &end, Duration::ZERO),
            Ok(None) => {}
            // Its lease ends by itself.
            Err(error) => {
                tracing::warn!(%request_id, %error, "the next attempt at an operation could not be scheduled")
            }
        }
    }
}

/// A refusal is no failure of the service.
fn trace(span: &Span, result: &Result<Option<OperationEnd>, Error>) {
    let code = match result {
        Ok(end) => end.as_ref().and_then(OperationEnd::code),
        Err(error) => error.code().ok(),
    };
    span.record("customer_deletion.error_code", code.map(Code::word));
    if code == Some(Code::GLOBAL_1001) {
        traces::fail(span, Code::GLOBAL_1001.word());
    }
}

/// Reports an operation that ended: one line in the log, and the metrics.
fn report(leased: &Leased, end: &OperationEnd, took: Duration) {
    let deletion = &leased.deletion;
    metrics::operation_ended(deletion.resource, end.status(), end.deleted_rows(deletion));
    if end.status() == Status::InternalError {
        metrics::given_up(deletion.resource);
    }
    log_end!(
        end.code() == Some(Code::GLOBAL_1001),
        request_id = %deletion.operation_id,
        requester_id = %deletion.requester_id,
        customer_id = %deletion.customer_id,
        resource = deletion.resource.word(),
        ids = deletion.targets.count(),
        code = end.code().map(Code::word),
        duration_ms = milliseconds(took),
        operation_status = end.status().word(),
        attempts = leased.attempts,
        waited_ms = leased.waited.as_millis() as u64,
        "operation"
    );
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
            let held = held_by_the_work.lock().take();
            async move {
                let _held = held;
                std::future::pending::<()>().await;
            }
        });
        assert!(timeout(Duration::from_millis(50), waiting).await.is_err());
        assert!(dropped.await.is_err());
    }
}
