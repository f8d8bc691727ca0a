//! The identity source `jwt`: the requester is named in a signed token.

mod actors;
mod discovery;
mod forger;
mod hostile_claims;
mod hostile_headers;
mod hostile_keys;
mod hostile_shapes;
mod identity_providers;
mod issuer;
mod key_sets;
mod log;
mod refresh;
mod scopes;
mod start;
pub mod token;
mod valid;

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use customer_deletion::config::Settings;
use customer_deletion::resource::Resource;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::service::{Answer, collection, send};
use crate::support::{TestService, until};

pub const ISSUER: &str = "https://issuer.example/realms/telecom";
pub const AUDIENCE: &str = "customer-deletion";
pub const SCOPE: &str = "contacts:delete";

pub const NO_TOKEN: &str = r#"Bearer realm="customer-deletion""#;
pub const INVALID_TOKEN: &str = r#"Bearer realm="customer-deletion", error="invalid_token""#;
pub const INSUFFICIENT_SCOPE: &str =
    r#"Bearer realm="customer-deletion", error="insufficient_scope", scope="contacts:delete""#;

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The claims of a valid token for a requester.
pub fn claims(requester: Uuid) -> Value {
    json!({
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "somebody",
        "iat": now(),
        "nbf": now(),
        "exp": now() + 600,
        "scope": format!("openid {SCOPE}"),
        "customer_id": requester,
    })
}

/// The service, once it has read its keys.
pub async fn ready(service: TestService) -> TestService {
    service.until_ready().await;
    service
}

/// A file that is gone when this is dropped.
pub struct TestFile(PathBuf);

impl TestFile {
    pub fn new(content: impl AsRef<[u8]>) -> TestFile {
        let path = std::env::temp_dir().join(format!("customer-deletion-keys-{}", Uuid::now_v7()));
        let file = TestFile(path);
        file.write(content);
        file
    }

    /// Writes the file in one step, as Kubernetes does: no reader sees half of it.
    pub fn write(&self, content: impl AsRef<[u8]>) {
        let half_made = self.0.with_extension("half-made");
        std::fs::write(&half_made, content).unwrap();
        std::fs::rename(half_made, &self.0).unwrap();
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn setting(&self) -> Option<String> {
        Some(self.0.to_str().unwrap().to_owned())
    }
}

impl Drop for TestFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A service that requires tokens with every claim that can be required.
pub async fn start_with(change: impl FnOnce(&mut Settings)) -> TestService {
    TestService::beside_shared(|settings| {
        ask_for_tokens(settings);
        change(settings);
    })
    .await
}

/// The same, shared by the tests that give this name.
pub async fn shared_with(name: &str, change: impl FnOnce(&mut Settings)) -> TestService {
    TestService::shared_with(name, |settings| {
        ask_for_tokens(settings);
        change(settings);
    })
    .await
}

fn ask_for_tokens(settings: &mut Settings) {
    settings.requester.source = Some("jwt".to_owned());
    settings.requester.jwt.issuer = Some(ISSUER.to_owned());
    settings.requester.jwt.audience = Some(AUDIENCE.to_owned());
    settings.requester.jwt.scope_read = Some(SCOPE.to_owned());
    settings.requester.jwt.scope_delete = Some(SCOPE.to_owned());
}

/// The service with this set of keys, shared by the tests that need it.
pub async fn start_with_keys(keys: &[Value]) -> TestService {
    let set = json!({"keys": keys}).to_string();
    let file = TestFile::new(&set);
    shared_with(&set, |settings| settings.requester.jwt.jwks_file = file.setting()).await
}

/// A call that only needs an identity: the status of an operation that never existed.
pub async fn ask(service: &TestService, token: &str) -> Answer {
    let path = format!("/api/v2/global/call/{}", Uuid::now_v7());
    send(service.anonymous(Method::GET, &path).header("Authorization", format!("Bearer {token}"))).await
}

#[track_caller]
pub fn assert_identified(answer: &Answer) {
    answer.assert_failed(404, "GLOBAL_1003", "Provided request ID does not exist for your account.");
}

#[track_caller]
pub fn assert_unauthorized(answer: &Answer, challenge: &str) {
    answer.assert_failed(401, "UNAUTHORIZED", "The call is not authenticated.");
    let challenges: Vec<_> = answer.headers.get_all("WWW-Authenticate").iter().collect();
    assert_eq!(challenges, [challenge]);
}

/// The path of one contact of a customer.
pub fn contact_path(customer: Uuid, contact: Uuid) -> String {
    format!("{}/{contact}", collection(customer, Resource::Contact))
}
