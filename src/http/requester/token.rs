//! A signed token in its compact form (RFC 7515), split and decoded. Nothing is verified here.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::jwk;

const MALFORMED: &str = "the token is malformed";

pub struct Token<'a> {
    pub algorithm: Algorithm,
    /// The key that the token names.
    pub key_id: Option<String>,
    /// The signed part.
    pub message: &'a str,
    /// The signature in base64url.
    pub signature: &'a str,
    /// The claims, as JSON.
    pub payload: Vec<u8>,
}

/// `jwk`, `jku`, `x5u` and `x5c` are not read: a token must not bring its own key.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    #[serde(default, deserialize_with = "is_present")]
    crit: bool,
}

impl Token<'_> {
    pub fn parse(token: &str) -> Result<Token<'_>, &'static str> {
        let (message, signature) = token.rsplit_once('.').ok_or(MALFORMED)?;
        let (header, payload) = message.split_once('.').ok_or(MALFORMED)?;
        let decode = |part| URL_SAFE_NO_PAD.decode(part).map_err(|_| MALFORMED);
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| MALFORMED)?;
        // A fourth part would make this fail: base64url has no dot.
        let payload = decode(payload)?;
        decode(signature)?;
        if header.crit {
            return Err("the token requires an extension (`crit`)");
        }
        if !header.typ.as_deref().is_none_or(is_access_token) {
            return Err("the token is not an access token (`typ`)");
        }
        let algorithm = jwk::algorithm(&header.alg).ok_or("the algorithm of the token is not accepted (`alg`)")?;
        Ok(Token { algorithm, key_id: header.kid, message, signature, payload })
    }
}

/// RFC 8725: a token that was signed for another purpose is not an access token.
fn is_access_token(typ: &str) -> bool {
    let typ = typ.strip_prefix("application/").unwrap_or(typ);
    typ.eq_ignore_ascii_case("JWT") || typ.eq_ignore_ascii_case("at+jwt")
}

fn is_present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(header: &str) -> Result<Algorithm, &'static str> {
        let token = format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(header));
        Token::parse(&token).map(|token| token.algorithm)
    }

    #[test]
    fn a_header_names_an_algorithm_that_is_accepted() {
        assert_eq!(parse(r#"{"alg":"ES384","jwk":7,"x5c":"none"}"#), Ok(Algorithm::ES384));
        for name in ["EdDSA", "Ed25519"] {
            assert_eq!(parse(&format!(r#"{{"alg":"{name}"}}"#)), Ok(Algorithm::EdDSA));
        }
        for name in ["none", "", "ed25519", "EDDSA", "Ed448", "ES512", "ES256K", "RSA-OAEP", "rs256"] {
            let refused = Err("the algorithm of the token is not accepted (`alg`)");
            assert_eq!(parse(&format!(r#"{{"alg":"{name}"}}"#)), refused, "{name}");
        }
    }

    #[test]
    fn a_header_says_why_it_is_refused() {
        for header in
            ["", "{}", "[]", r#"{"alg":null}"#, r#"{"alg":"RS256","kid":7}"#, r#"{"alg":"RS256","alg":"RS256"}"#]
        {
            assert_eq!(parse(header), Err(MALFORMED), "{header}");
        }
        for crit in ["[]", r#"["exp"]"#, "null", "false"] {
            let header = format!(r#"{{"alg":"RS256","crit":{crit}}}"#);
            assert_eq!(parse(&header), Err("the token requires an extension (`crit`)"), "{crit}");
        }
        for typ in ["logout+jwt", "dpop+jwt", ""] {
            let header = format!(r#"{{"alg":"RS256","typ":"{typ}"}}"#);
            assert_eq!(parse(&header), Err("the token is not an access token (`typ`)"), "{typ}");
        }
    }

    #[test]
    fn a_token_has_three_parts_in_base64url() {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#);
        assert!(Token::parse(&format!("{header}.e30.AA")).is_ok());
        for rest in ["", ".", ".e30", ".e30.AA.", ".e30.AA.AA", ".e30.AA=", ".e30.A", ".e3 0.AA", ".e30=.AA", ".e30.AB"]
        {
            assert_eq!(Token::parse(&format!("{header}{rest}")).err(), Some(MALFORMED), "{rest}");
        }
    }
}
