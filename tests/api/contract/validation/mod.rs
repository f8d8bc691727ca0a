//! `validateOnly=true`: the answer is that of the same call without it, and nothing changes.

mod everything;
mod keys;
mod nothing;
mod refusals;
mod shapes;

use customer_deletion::resource::Resource;
use reqwest::RequestBuilder;
use uuid::Uuid;

use self::everything::everything;
use crate::support::TestService;
use crate::support::service::{Answer, send, validating};

/// Sends the call first with validation only and then as it is, and returns the second answer. Asserts that both are equal, and
/// that the first has left no trace.
async fn alike(service: &TestService, call: RequestBuilder) -> Answer {
    let validation = validating(call.try_clone().expect("a body in memory"));
    let before = everything(&service.database.pool).await;
    let validated = send(validation).await;
    assert_eq!(everything(&service.database.pool).await, before, "something changed: {validated:?}");

    let answer = send(call).await;
    assert_eq!(validated.but_for_its_id(), answer.but_for_its_id());
    let replayed = answer.header("Idempotency-Replayed").is_some();
    assert_eq!(validated.request_id() == answer.request_id(), replayed, "only a replay has the id of another call");
    answer
}

/// A deletion by a list, or by the URL if the resource takes no list.
fn deletion(
    service: &TestService,
    requester: Uuid,
    customer: Uuid,
    resource: Resource,
    ids: &[Uuid],
) -> RequestBuilder {
    service.deletion(requester, customer, resource, ids)
}

/// Asserts that both answers are this failure.
async fn refused_alike(service: &TestService, call: RequestBuilder, status: u16, code: &str) {
    let answer = alike(service, call).await;
    assert_eq!((answer.status, answer.json()["errorCode"].as_str()), (status, Some(code)), "{}", answer.text);
}
