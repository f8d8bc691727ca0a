//! The claim that names the user for whom the requester calls.

use customer_deletion::resource::Resource;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::token::{RSA, jwks};
use super::{TestFile, claims, contact_path, shared_with};
use crate::support::TestService;
use crate::support::service::{Answer, send};

async fn service(name: &str, claim: Option<&str>) -> TestService {
    let file = TestFile::new(jwks(&[&RSA]));
    let claim = claim.map(str::to_owned);
    shared_with(name, |settings| {
        settings.requester.jwt.jwks_file = file.setting();
        settings.requester.jwt.actor_claim = claim;
    })
    .await
}

/// Deletes a contact with a token that also has these claims. Returns the answer and the recorded actor.
async fn delete(service: &TestService, members: Value) -> (Answer, Option<String>) {
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let mut claims = claims(family.requester);
    for (name, value) in members.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let call = service.anonymous(Method::DELETE, &contact_path(family.sub_customer, contact));
    let answer = send(call.bearer_auth(RSA.token(&claims)).header("X-Actor-Id", "an-actor|forged")).await;
    let deleted = service.world.deleted(Resource::Contact, &[contact]).await;
    assert_eq!(deleted.len(), usize::from(answer.status == 200), "{answer:?}");
    let recorded = "select actor from operation where requester_id = $1";
    let recorded: Option<Option<String>> =
        sqlx::query_scalar(recorded).bind(family.requester).fetch_optional(&service.database.pool).await.unwrap();
    assert_eq!(recorded.is_some(), answer.status == 200);
    (answer, recorded.flatten())
}

#[tokio::test]
async fn the_claim_names_the_actor_and_no_header_does() {
    let service = service("actor in sub", Some("sub")).await;
    for (sub, expected) in [
        (json!("an-actor|1"), Some("an-actor|1")),
        (json!(["an-actor|1"]), Some("an-actor|1")),
        (json!(""), None),
        (Value::Null, None),
    ] {
        let (answer, actor) = delete(&service, json!({"sub": sub})).await;
        answer.assert_deleted();
        assert_eq!(actor.as_deref(), expected, "{sub}");
    }
}

#[tokio::test]
async fn an_invalid_claim_is_a_bad_request() {
    let service = service("actor in sub", Some("sub")).await;
    for (sub, message) in [
        (json!("x".repeat(256)), "the claim `sub` must have 1 to 255 printable ASCII characters"),
        (json!("J\u{fc}rgen"), "the claim `sub` must have"),
        (json!("a\u{0}b"), "the claim `sub` must have"),
        (json!(" a"), "the claim `sub` must have"),
        (json!(7), "the claim `sub` is not a string"),
        (json!(["a", "b"]), "the claim `sub` is a list of 2 values, not of one"),
    ] {
        let (answer, _) = delete(&service, json!({"sub": sub})).await;
        answer.assert_malformed(400, "BAD_REQUEST", message);
    }
}

#[tokio::test]
async fn a_claim_that_is_missing_names_nobody() {
    let service = service("actor in an object", Some("user.id")).await;
    let (answer, actor) = delete(&service, json!({})).await;
    answer.assert_deleted();
    assert_eq!(actor, None);
    let (_, actor) = delete(&service, json!({"user": {"id": "an-actor|1"}})).await;
    assert_eq!(actor.as_deref(), Some("an-actor|1"));
}

#[tokio::test]
async fn without_the_setting_no_claim_is_recorded() {
    let service = service("no actor", None).await;
    let (answer, actor) = delete(&service, json!({"sub": Uuid::now_v7()})).await;
    answer.assert_deleted();
    assert_eq!(actor, None);
}
