//! Hostile calls, and the answer that each must get.

use std::sync::LazyLock;

use customer_deletion::resource::Resource;
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::Value;
use uuid::Uuid;

use super::issuer::Issuer;
use super::token::{ED25519, P256, RSA, SECOND_RSA, SigningKey, jwks};
use super::{INVALID_TOKEN, TestFile, assert_unauthorized, claims, contact_path, shared_with};
use crate::support::TestService;
use crate::support::service::send;

/// A call without a valid requester, whatever it claims.
pub struct Attack {
    headers: Vec<(&'static str, HeaderValue)>,
    query: String,
    challenge: &'static str,
}

impl Attack {
    pub fn headers(headers: &[(&'static str, &str)]) -> Attack {
        let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).unwrap();
        let headers = headers.iter().map(|(name, text)| (*name, value(text))).collect();
        Attack { headers, query: String::new(), challenge: INVALID_TOKEN }
    }

    /// One `Authorization` header.
    pub fn authorization(value: impl AsRef<str>) -> Attack {
        Attack::headers(&[("Authorization", value.as_ref())])
    }

    pub fn bearer(token: impl AsRef<str>) -> Attack {
        Attack::authorization(format!("Bearer {}", token.as_ref()))
    }

    pub fn query(mut self, query: String) -> Attack {
        self.query = query;
        self
    }

    /// The call is answered with another challenge than that for an invalid token.
    pub fn challenged(mut self, challenge: &'static str) -> Attack {
        self.challenge = challenge;
        self
    }
}

/// Knows a requester, and the claims that the issuer signs for it.
pub struct Forger {
    pub requester: Uuid,
    /// A server of the forger, which must never be requested.
    pub trap: Issuer,
}

impl Forger {
    pub fn claims(&self) -> Value {
        claims(self.requester)
    }

    /// A valid token.
    pub fn good(&self) -> String {
        RSA.token(&self.claims())
    }

    /// A token that the issuer signed, with wrong claims.
    pub fn claiming(&self, change: impl FnOnce(&mut Value)) -> Attack {
        let mut claims = self.claims();
        change(&mut claims);
        Attack::bearer(RSA.token(&claims))
    }

    /// A token that the issuer signed, with another value of one claim.
    pub fn with(&self, claim: &str, value: Value) -> Attack {
        self.claiming(|claims| claims[claim] = value)
    }

    /// A token that the issuer signed, with one claim missing.
    pub fn without(&self, claim: &str) -> Attack {
        self.claiming(|claims| drop(claims.as_object_mut().unwrap().remove(claim)))
    }

    /// A token that this key signed, with a wrong header.
    pub fn heading(&self, key: &SigningKey, change: impl FnOnce(&mut Value)) -> Attack {
        let mut header = key.header();
        change(&mut header);
        Attack::bearer(key.token_with(&header, &self.claims()))
    }
}

/// An attack, with its name.
pub type NamedAttack = (&'static str, fn(&Forger) -> Attack);

/// A deletion under each of the attacks gets exactly the documented rejection, and changes nothing. The same one with a valid
/// token succeeds. The output of a failed test ends with the attack for which it failed.
pub async fn assert_refused(attacks: &[NamedAttack]) {
    static KEYS: LazyLock<TestFile> = LazyLock::new(|| TestFile::new(jwks(&[&RSA, &SECOND_RSA, &P256, &ED25519])));
    let service = shared_with("attacked", |settings| settings.requester.jwt.jwks_file = KEYS.setting()).await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let fingerprint = service.world.fingerprint().await;
    let forger = Forger { requester: family.requester, trap: Issuer::with(&[]).await };
    let path = contact_path(family.sub_customer, contact);

    for (what, attack) in attacks {
        println!("{what}");
        let attack = attack(&forger);
        let mut call = service.anonymous(Method::DELETE, &format!("{path}{}", attack.query));
        for (name, value) in attack.headers {
            call = call.header(name, value);
        }
        assert_unauthorized(&send(call).await, attack.challenge);
        assert_eq!(forger.trap.fetches(), 0);
        assert_eq!(service.world.operations().await, 0);
    }
    assert_eq!(service.world.fingerprint().await, fingerprint);

    assert_good_token_deletes(&service, &path, &forger).await;
    assert_eq!(service.world.deleted(Resource::Contact, &[contact]).await, [contact]);
}

async fn assert_good_token_deletes(service: &TestService, path: &str, forger: &Forger) {
    let call = service.anonymous(Method::DELETE, path).header("Authorization", format!("Bearer {}", forger.good()));
    send(call).await.assert_deleted();
}
