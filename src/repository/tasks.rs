//! Tasks that run to their end.

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::error::Error;

/// Tasks in the runtime of the connections. The runtimes of the HTTP threads end earlier than the
/// calls do. Cheap to clone.
#[derive(Clone)]
pub struct Tasks {
    runtime: Handle,
    tracker: TaskTracker,
}

impl Tasks {
    pub fn in_current_runtime() -> Tasks {
        Tasks { runtime: Handle::current(), tracker: TaskTracker::new() }
    }

    /// Runs the work to its end, even if the client hangs up and the handler is dropped. So no
    /// session returns to the pool with half an answer in it.
    pub fn run<T, W>(&self, work: W) -> impl Future<Output = Result<T, Error>> + use<T, W>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, Error>> + Send + 'static,
    {
        // Boxed: a runtime moves a task several times, and this one has many kilobytes.
        let task = self.tracker.spawn_on(Box::pin(work).in_current_span(), &self.runtime);
        async move { task.await.unwrap_or_else(|panic| Err(Error::Defect(panic.to_string()))) }
    }

    /// Starts work for which nobody waits.
    pub fn start(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn_on(work, &self.runtime);
    }

    /// Waits until all of them have ended.
    pub async fn end(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}
