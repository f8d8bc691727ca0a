//! The examples of `docs/identity-providers.md`, exactly as they are on the page.

use customer_deletion::config::{KeySource, RequesterSource, Settings};
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use super::token::{RSA, jwks};
use super::valid::assert_deletes;
use super::{TestFile, ask, now};
use crate::support::TestService;

const PAGE: &str = include_str!("../../../../docs/identity-providers.md");

/// The customer of the page's tokens.
const CUSTOMER: &str = "5b0c2a94-7d36-4e58-9a1f-c3e86d4f0b27";

struct Example {
    settings: Settings,
    header: Value,
    claims: Value,
}

impl Example {
    fn of(provider: &str) -> Example {
        let start = format!("\n## {provider}\n");
        let section = PAGE.split_once(&start).expect("the page has the provider").1;
        let section = section.split("\n## ").next().unwrap();
        let variables = blocks(section, "sh").concat();
        let variables = variables.lines().map(|line| line.split_once('=').expect("a variable and its value"));
        let environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let [header, claims] = blocks(section, "json").try_into().expect("the header and the claims of a token");
        Example {
            settings: Settings::from_environment(environment).unwrap(),
            header: serde_json::from_str(header).unwrap(),
            claims: serde_json::from_str(claims).unwrap(),
        }
    }

    /// A service with the settings of the example, and with keys of the test.
    async fn start(&self, keys: &TestFile) -> TestService {
        let mut requester = self.settings.requester.clone();
        requester.jwt.jwks_file = keys.setting();
        TestService::beside_shared(|settings| settings.requester = requester).await
    }

    /// The claims of the example, as if the token had been issued now, for this customer.
    fn claims(&self, customer: Uuid) -> Value {
        let text = self.claims.to_string();
        assert!(text.contains(CUSTOMER), "{text}");
        let mut claims: Value = serde_json::from_str(&text.replace(CUSTOMER, &customer.to_string())).unwrap();
        let issued = claims["iat"].as_u64().unwrap();
        for name in ["iat", "nbf", "exp", "auth_time"] {
            if let Some(time) = claims.get_mut(name) {
                *time = json!(time.as_u64().unwrap() - issued + now());
            }
        }
        claims
    }

    fn token(&self, claims: &Value) -> String {
        let mut header = self.header.clone();
        header["kid"] = json!(RSA.id);
        RSA.token_with(&header, claims)
    }
}

/// The contents of the fenced blocks of a language.
fn blocks<'a>(section: &'a str, language: &str) -> Vec<&'a str> {
    let starts = section.split(&format!("\n```{language}\n")).skip(1).collect::<Vec<_>>();
    starts.into_iter().map(|block| block.split_once("\n```\n").expect("the block has an end").0).collect()
}

#[rstest]
#[case::keycloak(
    "Keycloak",
    "https://sso.example.com/realms/telecom/.well-known/openid-configuration",
    &["attributes", "aud", "exp", "iss", "realm_access"]
)]
#[case::auth0(
    "Auth0",
    "https://telecom.eu.auth0.com/.well-known/openid-configuration",
    &["aud", "exp", "https://example.com/customer_id", "iss", "permissions"]
)]
#[case::entra_id(
    "Entra ID",
    "https://login.microsoftonline.com/2b6e4f1a-8c3d-4e5f-9a7b-1c0d2e3f4a5b/v2.0/.well-known/openid-configuration",
    &["aud", "exp", "extn.customer_id", "iss", "scp"]
)]
#[case::cognito(
    "Cognito",
    "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Ab3dEf6Hi/.well-known/openid-configuration",
    &["client_id", "customer_id", "exp", "iss", "scope", "token_use"]
)]
#[tokio::test]
async fn the_settings_of_the_page_accept_its_token(
    #[case] provider: &str,
    #[case] configuration: &str,
    #[case] needed: &[&str],
) {
    let example = Example::of(provider);
    let RequesterSource::Jwt(source) = example.settings.requester.source().unwrap() else { panic!("not jwt") };
    let KeySource::Issuer { configuration: url, .. } = source.keys else { panic!("{:?}", source.keys) };
    assert_eq!(url.as_str(), configuration);

    let keys = TestFile::new(jwks(&[&RSA]));
    let service = example.start(&keys).await;
    assert_deletes(&service, |requester| example.token(&example.claims(requester))).await;

    // Each claim is left out once. Exactly the claims that the settings require are missed.
    let claims = example.claims(Uuid::now_v7());
    let mut missed = Vec::new();
    for name in claims.as_object().unwrap().keys() {
        let mut claims = claims.clone();
        claims.as_object_mut().unwrap().remove(name);
        if ask(&service, &example.token(&claims)).await.status == 401 {
            missed.push(name.as_str());
        }
    }
    missed.sort_unstable();
    assert_eq!(missed, needed);
}

#[test]
fn every_example_of_the_page_is_run() {
    let sections: Vec<_> = PAGE.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(sections, ["Keycloak", "Auth0", "Entra ID", "Cognito"]);
}
