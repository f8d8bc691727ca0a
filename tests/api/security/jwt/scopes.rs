//! One scope for reading calls, and one for deletions.

use customer_deletion::resource::Resource;
use reqwest::{Method, RequestBuilder};
use rstest::rstest;
use serde_json::json;
use uuid::Uuid;

use super::token::{RSA, jwks};
use super::{TestFile, assert_identified, assert_unauthorized, claims, contact_path, start_with};
use crate::support::TestService;
use crate::support::service::{Answer, collection, send};
use crate::support::world::Family;

const READ: &str = "contacts:read";
const DELETE: &str = "contacts:delete";

/// A service with these scopes, and the customers of one token.
struct Stage {
    service: TestService,
    family: Family,
    token: String,
}

impl Stage {
    /// If the settings name no scope, every token has the right.
    async fn with(granted: &str, read: Option<&str>, delete: Option<&str>) -> Stage {
        let keys = TestFile::new(jwks(&[&RSA]));
        let service = start_with(|settings| {
            let jwt = &mut settings.requester.jwt;
            jwt.jwks_file = keys.setting();
            (jwt.scope_read, jwt.scope_delete) = (read.map(str::to_owned), delete.map(str::to_owned));
        })
        .await;
        let family = service.world.family().await;
        let mut claims = claims(family.requester);
        claims["scope"] = json!(format!("openid {granted}"));
        Stage { service, family, token: RSA.token(&claims) }
    }

    fn call(&self, method: Method, path: &str) -> RequestBuilder {
        self.service.anonymous(method, path).header("Authorization", format!("Bearer {}", self.token))
    }

    async fn answer(&self, method: Method, path: &str) -> Answer {
        send(self.call(method, path)).await
    }

    async fn assert_reads(&self, scope: Option<&str>) {
        let operation = Uuid::now_v7();
        for (path, status) in [
            (format!("/api/v2/global/call/{operation}"), 404),
            (format!("/api/v3/global/call/{operation}"), 404),
            ("/api/v3/global/call".to_owned(), 200),
        ] {
            let answer = self.answer(Method::GET, &path).await;
            match scope {
                None => assert_eq!(answer.status, status, "{path}: {}", answer.text),
                Some(scope) => assert_lacks(&answer, scope),
            }
            let head = self.answer(Method::HEAD, &path).await;
            assert_eq!(head.status, if scope.is_some() { 401 } else { status }, "{path}");
        }
    }

    async fn assert_deletes(&self, scope: Option<&str>) {
        let world = &self.service.world;
        let customer = self.family.sub_customer;
        let one = contact_path(customer, world.contact(customer).await);
        let (listed, batch) = (world.contact(customer).await, world.contact(customer).await);
        let list = collection(customer, Resource::Contact);
        let body = |id: Uuid| json!({"id": [id]}).to_string();
        let before = world.fingerprint().await;
        let calls = [
            self.call(Method::DELETE, &format!("{one}?validateOnly=true")),
            self.call(Method::DELETE, &one),
            self.call(Method::DELETE, &list).body(body(listed)),
            self.call(Method::POST, &format!("{list}:batchDelete?validateOnly=true")).body(body(batch)),
            self.call(Method::POST, &format!("{list}:batchDelete")).body(body(batch)),
        ];
        for call in calls {
            let answer = send(call).await;
            match scope {
                None => assert_eq!(answer.status, 200, "{}", answer.text),
                Some(scope) => assert_lacks(&answer, scope),
            }
        }
        let cancelled = self.answer(Method::POST, &format!("/api/v3/global/call/{}:cancel", Uuid::now_v7())).await;
        match scope {
            None => assert_identified(&cancelled),
            Some(scope) => assert_lacks(&cancelled, scope),
        }
        let recorded = world.operations().await;
        match scope {
            None => assert_eq!(recorded, 3),
            Some(_) => assert_eq!((recorded, world.fingerprint().await), (0, before)),
        }
    }

    /// A route that does not exist, and a route without the method.
    async fn assert_learns_routes(&self) {
        let batch = format!("{}:batchDelete", collection(self.family.sub_customer, Resource::Contact));
        for method in [Method::GET, Method::DELETE] {
            assert_eq!(self.answer(method, "/api/v2/nowhere").await.status, 404);
        }
        assert_eq!(self.answer(Method::GET, &batch).await.status, 405);
        assert_eq!(self.answer(Method::DELETE, "/api/v3/global/call").await.status, 405);
    }
}

#[track_caller]
fn assert_lacks(answer: &Answer, scope: &str) {
    let challenge = format!(r#"Bearer realm="customer-deletion", error="insufficient_scope", scope="{scope}""#);
    assert_unauthorized(answer, &challenge);
}

/// The last two columns have the scope that the token lacks for reading and for deleting.
#[rstest]
#[case::none_is_required("", None, None, None, None)]
#[case::reading_needs_one("", Some(READ), None, Some(READ), None)]
#[case::deleting_needs_one("", None, Some(DELETE), None, Some(DELETE))]
#[case::a_read_only_user(READ, Some(READ), Some(DELETE), None, Some(DELETE))]
#[case::one_that_only_deletes(DELETE, Some(READ), Some(DELETE), Some(READ), None)]
#[case::one_with_both("contacts:read contacts:delete", Some(READ), Some(DELETE), None, None)]
#[case::one_scope_for_both(DELETE, Some(DELETE), Some(DELETE), None, None)]
#[tokio::test]
async fn each_call_needs_its_scope(
    #[case] granted: &str,
    #[case] read: Option<&str>,
    #[case] delete: Option<&str>,
    #[case] lacks_read: Option<&str>,
    #[case] lacks_delete: Option<&str>,
) {
    let stage = Stage::with(granted, read, delete).await;
    stage.assert_reads(lacks_read).await;
    stage.assert_deletes(lacks_delete).await;
    stage.assert_learns_routes().await;
}

#[tokio::test]
async fn a_token_with_neither_scope_learns_nothing() {
    let stage = Stage::with("profile", Some(READ), Some(DELETE)).await;
    stage.assert_reads(Some(READ)).await;
    stage.assert_deletes(Some(DELETE)).await;
    assert_lacks(&stage.answer(Method::GET, "/api/v2/nowhere").await, READ);
    assert_lacks(&stage.answer(Method::PUT, "/api/v2/nowhere").await, DELETE);
}
