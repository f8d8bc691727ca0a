//! Finds the URL of an issuer's keys in its configuration (OpenID Connect Discovery).

use reqwest::Url;
use serde::Deserialize;

use crate::config::published_url;

/// The characters of another issuer's name that a message shows.
const MAX_NAME: usize = 200;

#[derive(Deserialize)]
struct Configuration {
    issuer: String,
    jwks_uri: String,
}

/// `scheme` is that of the configuration's own URL. The configuration of another issuer is refused:
/// whoever placed it there could sign tokens.
pub fn keys_url(configuration: &[u8], issuer: &str, scheme: &str) -> Result<Url, String> {
    let configuration: Configuration = serde_json::from_slice(configuration)
        .map_err(|_| "is not a configuration with an `issuer` and a `jwks_uri`".to_owned())?;
    if configuration.issuer != issuer {
        let found: String = configuration.issuer.chars().take(MAX_NAME).collect();
        return Err(format!("is of the issuer `{}`, and must be of `{issuer}`", found.escape_debug()));
    }
    let url = published_url(&configuration.jwks_uri).map_err(|problem| format!("has a `jwks_uri` that {problem}"))?;
    if url.scheme() != scheme {
        return Err(format!("has a `jwks_uri` that does not begin with {scheme}://, as the issuer does"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ISSUER: &str = "https://issuer.example/realms/telecom";

    fn keys_url_of(configuration: &Value, scheme: &str) -> Result<String, String> {
        keys_url(configuration.to_string().as_bytes(), ISSUER, scheme).map(Url::into)
    }

    #[test]
    fn the_keys_are_where_the_issuer_says() {
        let url = "https://keys.example/certs?tenant=telecom";
        let configuration = json!({"issuer": ISSUER, "jwks_uri": url, "token_endpoint": 7});
        assert_eq!(keys_url_of(&configuration, "https"), Ok(url.to_owned()));
        let sidecar = json!({"issuer": ISSUER, "jwks_uri": "http://127.0.0.1:9000/certs"});
        assert_eq!(keys_url_of(&sidecar, "http"), Ok("http://127.0.0.1:9000/certs".to_owned()));
    }

    #[test]
    fn a_configuration_of_another_issuer_is_refused() {
        for issuer in [&format!("{ISSUER}/"), "https://ISSUER.example/realms/telecom", "", "`\n"] {
            let problem = keys_url_of(&json!({"issuer": issuer, "jwks_uri": "https://issuer.example/"}), "https");
            let expected = format!("is of the issuer `{}`, and must be of `{ISSUER}`", issuer.escape_debug());
            assert_eq!(problem, Err(expected));
        }
    }

    #[test]
    fn keys_are_fetched_as_safely_as_the_configuration() {
        for (url, scheme, part) in [
            ("http://issuer.example/certs", "https", "must be https"),
            ("http://127.0.0.1/certs", "https", "does not begin with https://"),
            ("https://issuer.example/certs", "http", "does not begin with http://"),
            ("https://me:secret@issuer.example/certs", "https", "has a user or a password"),
            ("file:///etc/certs", "https", "must begin with https://"),
            ("certs", "https", "is not a URL"),
        ] {
            let problem = keys_url_of(&json!({"issuer": ISSUER, "jwks_uri": url}), scheme).unwrap_err();
            assert!(problem.starts_with("has a `jwks_uri` that ") && problem.contains(part), "{url}: {problem}");
        }
    }

    #[test]
    fn what_is_not_a_configuration_is_refused() {
        for text in ["", "<html>", "[]", "{}", r#"{"issuer":7,"jwks_uri":""}"#, r#"{"keys":[]}"#] {
            let problem = keys_url(text.as_bytes(), ISSUER, "https").unwrap_err();
            assert_eq!(problem, "is not a configuration with an `issuer` and a `jwks_uri`", "{text}");
        }
    }
}
