//! Valid tokens.

use aws_lc_rs::hmac::{self, HMAC_SHA256, HMAC_SHA384, HMAC_SHA512};
use aws_lc_rs::signature::{
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
};
use customer_deletion::resource::Resource;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use super::issuer::Issuer;
use super::token::{ED25519, P256, P384, RSA, SigningKey, jwks, sign_with_secret, token};
use super::{
    INSUFFICIENT_SCOPE, INVALID_TOKEN, TestFile, ask, assert_identified, assert_unauthorized, claims, contact_path,
    now, start_with, start_with_keys,
};
use crate::support::TestService;
use crate::support::service::send;

/// Asserts that the token deletes a contact of a sub-customer of the requester that it names.
pub async fn assert_deletes(service: &TestService, token: impl FnOnce(Uuid) -> String) {
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let path = contact_path(family.sub_customer, contact);
    let token = token(family.requester);
    let call = service.anonymous(Method::DELETE, &path).header("Authorization", format!("Bearer {token}"));
    send(call).await.assert_deleted();
    assert_eq!(service.world.deleted(Resource::Contact, &[contact]).await, [contact]);
}

#[rstest]
#[case::rs256(&RSA)]
#[case::es256(&P256)]
#[case::es384(&P384)]
#[case::eddsa(&ED25519)]
#[tokio::test]
async fn a_token_of_the_issuer_is_believed(#[case] key: &SigningKey) {
    let service = start_with_keys(&[key.jwk()]).await;
    assert_deletes(&service, |requester| key.token(&claims(requester))).await;
}

#[rstest]
#[case::rs384("RS384", &RSA_PKCS1_SHA384)]
#[case::rs512("RS512", &RSA_PKCS1_SHA512)]
#[case::ps256("PS256", &RSA_PSS_SHA256)]
#[case::ps384("PS384", &RSA_PSS_SHA384)]
#[case::ps512("PS512", &RSA_PSS_SHA512)]
#[tokio::test]
async fn an_rsa_key_without_an_algorithm_is_for_each_of_its_type(
    #[case] algorithm: &str,
    #[case] encoding: &'static dyn RsaEncoding,
) {
    let service = start_with_keys(&[RSA.bare_jwk()]).await;
    assert_deletes(&service, |requester| {
        let header = json!({"alg": algorithm}).to_string();
        token(&header, &claims(requester).to_string(), |message| RSA.sign_as(encoding, message))
    })
    .await;
}

#[rstest]
#[case::hs256("HS256", HMAC_SHA256, 32)]
#[case::hs384("HS384", HMAC_SHA384, 48)]
#[case::hs512("HS512", HMAC_SHA512, 64)]
#[tokio::test]
async fn the_secret_is_the_bytes_of_its_file(
    #[case] algorithm: &str,
    #[case] hash: hmac::Algorithm,
    #[case] length: usize,
) {
    // Neither text nor trimmed: it ends with a line feed.
    let mut secret = vec![0xfe; length - 1];
    secret.push(b'\n');
    let file = TestFile::new(&secret);
    let service = start_with(|settings| settings.requester.jwt.hmac_secret_file = file.setting()).await;
    let header = json!({"alg": algorithm, "kid": "any"}).to_string();
    let sign =
        |secret: &[u8], requester| token(&header, &claims(requester).to_string(), sign_with_secret(hash, secret));

    assert_deletes(&service, |requester| sign(&secret, requester)).await;

    let trimmed = sign(secret.trim_ascii_end(), Uuid::now_v7());
    assert_unauthorized(&ask(&service, &trimmed).await, INVALID_TOKEN);
}

#[tokio::test]
async fn a_secret_is_only_for_hashes_that_are_no_longer_than_it() {
    let secret = [7; 47];
    let file = TestFile::new(secret);
    let service = start_with(|settings| settings.requester.jwt.hmac_secret_file = file.setting()).await;
    let claims = claims(Uuid::now_v7()).to_string();
    let short = token(r#"{"alg":"HS256"}"#, &claims, sign_with_secret(HMAC_SHA256, &secret));
    let long = token(r#"{"alg":"HS384"}"#, &claims, sign_with_secret(HMAC_SHA384, &secret));
    assert_identified(&ask(&service, &short).await);
    assert_unauthorized(&ask(&service, &long).await, INVALID_TOKEN);
}

#[tokio::test]
async fn with_a_secret_no_token_of_a_public_key_is_believed() {
    let file = TestFile::new(RSA.modulus_and_exponent().0);
    let service = start_with(|settings| settings.requester.jwt.hmac_secret_file = file.setting()).await;
    for key in [&RSA, &P256, &ED25519] {
        assert_unauthorized(&ask(&service, &key.token(&claims(Uuid::now_v7()))).await, INVALID_TOKEN);
    }
}

#[rstest]
#[case::expired_within_the_leeway("exp", json!(now() - 5))]
#[case::a_fractional_end("exp", json!(now() as f64 + 600.5))]
#[case::not_valid_yet_within_the_leeway("nbf", json!(now() + 10))]
#[case::one_of_several_audiences("aud", json!(["billing", "customer-deletion"]))]
#[case::scopes_in_a_list("scope", json!(["openid", "contacts:delete"]))]
#[case::the_scope_alone("scope", json!("contacts:delete"))]
#[case::a_list_with_one_requester("customer_id", json!(["5b0c2a94-7d36-4e58-9a1f-c3e86d4f0b27"]))]
#[case::a_requester_in_capitals("customer_id", json!("5B0C2A94-7D36-4E58-9A1F-C3E86D4F0B27"))]
#[case::a_claim_that_nobody_knows("address", json!({"country": "DE"}))]
#[tokio::test]
async fn a_token_with_another_claim_is_believed(#[case] claim: &str, #[case] value: Value) {
    let service = start_with_keys(&[RSA.jwk()]).await;
    let mut claims = claims(Uuid::now_v7());
    claims[claim] = value;
    assert_identified(&ask(&service, &RSA.token(&claims)).await);
}

#[rstest]
#[case::scp_in_a_string("scp", json!("openid contacts:delete"))]
#[case::scp_in_a_list("scp", json!(["contacts:delete"]))]
#[case::roles("roles", json!(["contacts:delete"]))]
#[case::permissions("permissions", json!(["read", "contacts:delete"]))]
#[tokio::test]
async fn token_scopes_are_read_from_scp_roles_and_permissions(#[case] claim: &str, #[case] scopes: Value) {
    let service = start_with_keys(&[RSA.jwk()]).await;
    let mut claims = claims(Uuid::now_v7());
    claims["scope"] = json!("openid");
    assert_unauthorized(&ask(&service, &RSA.token(&claims)).await, INSUFFICIENT_SCOPE);
    claims[claim] = scopes;
    assert_identified(&ask(&service, &RSA.token(&claims)).await);
}

#[tokio::test]
async fn the_claims_of_the_scope_are_a_setting() {
    let file = TestFile::new(jwks(&[&RSA]));
    let service = start_with(|settings| {
        settings.requester.jwt.jwks_file = file.setting();
        settings.requester.jwt.scope_claims = Some("realm_access.roles".to_owned());
    })
    .await;
    let mut claims = claims(Uuid::now_v7());
    assert_unauthorized(&ask(&service, &RSA.token(&claims)).await, INSUFFICIENT_SCOPE);
    claims["realm_access"] = json!({"roles": ["contacts:delete"]});
    assert_identified(&ask(&service, &RSA.token(&claims)).await);
}

#[tokio::test]
async fn a_token_is_for_one_of_several_audiences() {
    let file = TestFile::new(jwks(&[&RSA]));
    let service = start_with(|settings| {
        settings.requester.jwt.jwks_file = file.setting();
        settings.requester.jwt.audience = Some("https://deletion.example, customer-deletion".to_owned());
    })
    .await;
    let token = |audience: Value| {
        let mut claims = claims(Uuid::now_v7());
        claims["aud"] = audience;
        RSA.token(&claims)
    };
    for audience in [json!("customer-deletion"), json!(["crm", "https://deletion.example"])] {
        assert_identified(&ask(&service, &token(audience)).await);
    }
    for audience in [json!("https://deletion.example, customer-deletion"), json!("crm")] {
        assert_unauthorized(&ask(&service, &token(audience)).await, INVALID_TOKEN);
    }
}

/// Cognito's access tokens have no `aud`.
#[tokio::test]
async fn required_claims_take_the_place_of_an_audience() {
    let file = TestFile::new(jwks(&[&RSA]));
    let service = start_with(|settings| {
        settings.requester.jwt.jwks_file = file.setting();
        settings.requester.jwt.audience = None;
        settings.requester.jwt.required_claims = Some("token_use=access,client_id=a,client_id=b".to_owned());
    })
    .await;
    let token = |token_use: &str, client: &str| {
        let mut claims = claims(Uuid::now_v7());
        claims["token_use"] = json!(token_use);
        claims["client_id"] = json!(client);
        RSA.token(&claims)
    };
    for client in ["a", "b"] {
        assert_identified(&ask(&service, &token("access", client)).await);
    }
    for (token_use, client) in [("id", "a"), ("access", "c"), ("a", "access")] {
        assert_unauthorized(&ask(&service, &token(token_use, client)).await, INVALID_TOKEN);
    }
    assert_unauthorized(&ask(&service, &RSA.token(&claims(Uuid::now_v7()))).await, INVALID_TOKEN);
}

#[rstest]
#[case::of_an_access_token(json!({"typ": "at+jwt"}))]
#[case::of_an_access_token_in_full(json!({"typ": "application/at+jwt"}))]
#[case::in_small_letters(json!({"typ": "jwt"}))]
#[case::with_a_thumbprint(json!({"x5t": "c3RyYW5nZXI"}))]
#[tokio::test]
async fn a_token_with_another_header_is_believed(#[case] more: Value) {
    let service = start_with_keys(&[RSA.jwk()]).await;
    let mut header = RSA.header();
    header.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
    assert_identified(&ask(&service, &RSA.token_with(&header, &claims(Uuid::now_v7()))).await);
}

#[tokio::test]
async fn jku_and_x5u_of_a_valid_token_are_never_fetched() {
    let service = start_with_keys(&[RSA.jwk()]).await;
    let elsewhere = Issuer::with(&[]).await;
    let mut header = RSA.header();
    header["jku"] = json!(elsewhere.url());
    header["x5u"] = json!(elsewhere.url());
    assert_identified(&ask(&service, &RSA.token_with(&header, &claims(Uuid::now_v7()))).await);
    assert_eq!(elsewhere.fetches(), 0);
}

#[tokio::test]
async fn a_token_may_leave_out_the_key_where_only_one_fits() {
    let service = start_with_keys(&[RSA.jwk(), P256.jwk(), ED25519.jwk()]).await;
    for key in [&RSA, &P256, &ED25519] {
        let header = json!({"alg": key.algorithm});
        assert_identified(&ask(&service, &key.token_with(&header, &claims(Uuid::now_v7()))).await);
    }
}

#[tokio::test]
async fn the_scheme_is_written_in_any_case() {
    let service = start_with_keys(&[RSA.jwk()]).await;
    let path = format!("/api/v2/global/call/{}", Uuid::now_v7());
    let token = RSA.token(&claims(Uuid::now_v7()));
    for scheme in ["bearer ", "BEARER ", "bEaReR ", "Bearer   "] {
        let call = service.anonymous(Method::GET, &path).header("Authorization", format!("{scheme}{token}"));
        assert_identified(&send(call).await);
    }
}

#[tokio::test]
async fn the_requester_header_is_ignored_beside_a_token() {
    let service = start_with_keys(&[RSA.jwk()]).await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let path = contact_path(family.sub_customer, contact);
    let call = |named: Uuid, signed: Uuid| {
        let token = RSA.token(&claims(signed));
        send(service.call(Method::DELETE, &path, named).header("Authorization", format!("Bearer {token}")))
    };
    call(family.requester, family.sibling).await.assert_failed(404, "CUSTOMER_1002", "Customer does not exist");
    call(family.sibling, family.requester).await.assert_deleted();
}

#[rstest]
#[case::a_name_with_dots("https://issuer.example/customer", |id| json!({"https://issuer.example/customer": id}))]
#[case::in_an_object("attributes.customer", |id| json!({"attributes": {"customer": [id]}}))]
#[tokio::test]
async fn the_claim_of_the_requester_is_a_setting(#[case] claim: &str, #[case] more: fn(Uuid) -> Value) {
    let file = TestFile::new(jwks(&[&RSA]));
    let service = start_with(|settings| {
        settings.requester.jwt.jwks_file = file.setting();
        settings.requester.jwt.claim = claim.to_owned();
    })
    .await;
    let requester = Uuid::now_v7();
    let mut claims = claims(Uuid::now_v7());
    assert_unauthorized(&ask(&service, &RSA.token(&claims)).await, INVALID_TOKEN);
    claims.as_object_mut().unwrap().extend(more(requester).as_object().unwrap().clone());
    assert_identified(&ask(&service, &RSA.token(&claims)).await);
}

#[tokio::test]
async fn what_is_not_set_is_not_asked_for() {
    let file = TestFile::new(jwks(&[&RSA]));
    let service = start_with(|settings| {
        let jwt = &mut settings.requester.jwt;
        (jwt.issuer, jwt.audience, jwt.scope_read, jwt.scope_delete) = (None, None, None, None);
        jwt.jwks_file = file.setting();
    })
    .await;
    let bare = json!({"customer_id": Uuid::now_v7(), "exp": now() + 60});
    assert_identified(&ask(&service, &RSA.token(&bare)).await);
    assert_identified(&ask(&service, &RSA.token(&claims(Uuid::now_v7()))).await);
    let endless = json!({"customer_id": Uuid::now_v7()});
    assert_unauthorized(&ask(&service, &RSA.token(&endless)).await, INVALID_TOKEN);
}
