//! Sends spans, and tells the log when they cannot be sent: the library keeps that to itself.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use opentelemetry_otlp::ExporterBuildError;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// A failure that goes on is logged again after this time.
const REMINDER: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub struct Exporter {
    inner: opentelemetry_otlp::SpanExporter,
    outage: Mutex<Outage>,
}

impl Exporter {
    pub fn new() -> Result<Exporter, ExporterBuildError> {
        let inner = opentelemetry_otlp::SpanExporter::builder().with_http().build()?;
        Ok(Exporter { inner, outage: Mutex::default() })
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.inner.export(batch).await;
        let news =
            self.outage.lock().expect("nothing panics while it holds this lock").note(result.is_ok(), Instant::now());
        match (&result, news) {
            (Err(error), true) => {
                tracing::warn!(%error, spans, "spans could not be sent to the collector, and are lost")
            }
            (Ok(()), true) => tracing::info!("spans are sent to the collector again"),
            (_, false) => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.inner.shutdown()
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// When the failure that goes on was last logged; none while all is well.
#[derive(Debug, Default)]
struct Outage(Option<Instant>);

impl Outage {
    /// Whether the log should hear of this export.
    fn note(&mut self, went_well: bool, now: Instant) -> bool {
        if went_well {
            return self.0.take().is_some();
        }
        let is_news = self.0.is_none_or(|logged| now - logged >= REMINDER);
        if is_news {
            self.0 = Some(now);
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_news_at_its_begin_every_ten_minutes_and_at_its_end() {
        let began = Instant::now();
        let mut outage = Outage::default();
        let mut note = |went_well, seconds| outage.note(went_well, began + Duration::from_secs(seconds));
        assert!(!note(true, 0));
        assert!(note(false, 1));
        assert!(!note(false, 2));
        assert!(!note(false, 600));
        assert!(note(false, 601));
        assert!(!note(false, 602));
        assert!(note(true, 603));
        assert!(!note(true, 604));
        assert!(note(false, 605));
    }
}
