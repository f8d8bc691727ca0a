//! Sends spans, and logs when they cannot be sent. OpenTelemetry's library does not log that.

use opentelemetry_otlp::ExporterBuildError;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

use crate::telemetry::outage::Outage;

#[derive(Debug)]
pub struct Exporter {
    inner: opentelemetry_otlp::SpanExporter,
    outage: Outage,
}

impl Exporter {
    pub fn new() -> Result<Exporter, ExporterBuildError> {
        let inner = opentelemetry_otlp::SpanExporter::builder().with_http().build()?;
        Ok(Exporter { inner, outage: Outage::default() })
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.inner.export(batch).await;
        let (begin, end) =
            ("spans could not be sent to the collector, and are lost", "spans are sent to the collector again");
        self.outage.report(&result, begin, end);
        result
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
