//! Sends spans, and logs when they cannot be sent. The library does not log that.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use opentelemetry_otlp::ExporterBuildError;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

use crate::telemetry::outage::Outage;

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
