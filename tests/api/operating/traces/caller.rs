//! The effect of a caller's headers: the trace of a call, and whether it is exported.

use rstest::rstest;

use super::collector::hex;
use super::{CALLER, TRACE, Traced};
use crate::support::client;
use crate::support::service::send;

/// Whether a call with these flags in its `traceparent` is exported.
async fn exported(sampler: &[(&str, &str)], flags: &str) -> bool {
    let mut traced = Traced::start(sampler).await;
    let docs = client().get(format!("http://{}/docs", traced.process.address));
    send(docs.header("traceparent", format!("00-{TRACE}-{CALLER}-{flags}"))).await;
    // When the service ends, it sends every span.
    assert_eq!(traced.process.terminate().await, Some(0));
    traced.collector.all_spans().iter().any(|span| hex(&span.trace_id) == TRACE)
}

#[rstest]
#[case::by_default_the_caller_may_leave_itself_out(&[], "00", false)]
#[case::by_default_a_sampled_call_is_exported(&[], "01", true)]
#[case::whoever_asks_is_exported(&[("OTEL_TRACES_SAMPLER", "parentbased_always_off")], "01", true)]
#[case::nobody_can_ask(&[("OTEL_TRACES_SAMPLER", "always_off")], "01", false)]
#[case::nobody_can_leave_itself_out(&[("OTEL_TRACES_SAMPLER", "always_on")], "00", true)]
#[case::a_ratio_is_not_the_callers(&[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0")], "01", false)]
#[tokio::test]
async fn the_callers_flag_counts_only_for_a_sampler_that_follows_its_parent(
    #[case] sampler: &[(&str, &str)],
    #[case] flags: &str,
    #[case] expected: bool,
) {
    assert_eq!(exported(sampler, flags).await, expected);
}

#[tokio::test]
async fn a_state_longer_than_w3c_asks_for_and_baggage_are_not_exported() {
    let traced = Traced::start(&[]).await;
    let long = format!("vendor={}", "x".repeat(60_000));
    for (path, state) in [("/docs", "vendor=short"), ("/openapi.json", &long)] {
        let call = client().get(format!("http://{}{path}", traced.process.address));
        let call = call.header("traceparent", format!("00-{TRACE}-{CALLER}-01")).header("tracestate", state);
        assert_eq!(send(call.header("baggage", "secret=hunter2")).await.status, 200);
    }
    let spans = traced.collector.spans(TRACE, &["GET /docs", "GET /openapi.json"]).await;
    let state = |name: &str| &*spans.iter().find(|span| span.name == name).unwrap().trace_state;
    assert_eq!(state("GET /docs"), "vendor=short");
    assert_eq!(state("GET /openapi.json"), "");
    assert!(!format!("{spans:?}").contains("hunter2"));
}
