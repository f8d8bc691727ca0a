//! Which tokens are believed, and where their keys are.

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;

use super::{SettingsError, variable};

/// One of the first three is required for the source `jwt`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Jwt {
    /// A file with the issuer's public keys, as a JWK set.
    pub jwks_file: Option<String>,
    /// Where the issuer publishes its keys.
    pub jwks_url: Option<String>,
    /// A file whose bytes are the secret that is shared with the issuer.
    pub hmac_secret_file: Option<String>,
    /// What `iss` must be.
    pub issuer: Option<String>,
    /// What `aud` must be, or have in it.
    pub audience: Option<String>,
    /// The claim that names the requester.
    pub claim: String,
    /// A scope that the token must have.
    pub scope: Option<String>,
    /// By how much the clocks of the issuer and of this machine may differ.
    pub leeway_seconds: u64,
    /// How often the keys are read again.
    pub refresh_seconds: u64,
}

impl Default for Jwt {
    fn default() -> Jwt {
        Jwt {
            jwks_file: None,
            jwks_url: None,
            hmac_secret_file: None,
            issuer: None,
            audience: None,
            claim: "customer_id".to_owned(),
            scope: None,
            leeway_seconds: 30,
            refresh_seconds: 300,
        }
    }
}

/// More would keep a token alive that its issuer has long ended.
const LONGEST_LEEWAY_SECONDS: u64 = 300;

/// Less often, a key that its issuer took back would be believed for too long.
const LONGEST_REFRESH_SECONDS: u64 = 24 * 60 * 60;

/// How long a call whose token cannot be verified with the keys at hand waits for newer ones.
pub const WAIT_FOR_KEY: Duration = Duration::from_secs(2);

/// Which tokens are believed.
#[derive(Clone, Debug)]
pub struct JwtSource {
    pub keys: KeySource,
    pub issuer: Option<String>,
    pub audience: Option<String>,
    pub claim: String,
    pub scope: Option<String>,
    pub leeway: Duration,
    pub refresh: Duration,
}

/// Where the keys of the tokens are.
#[derive(Clone, Debug)]
pub enum KeySource {
    JwksFile(PathBuf),
    JwksUrl(Url),
    HmacSecretFile(PathBuf),
}

impl KeySource {
    /// The path of the setting.
    pub fn setting(&self) -> &'static str {
        match self {
            KeySource::JwksFile(_) => "requester.jwt.jwks_file",
            KeySource::JwksUrl(_) => "requester.jwt.jwks_url",
            KeySource::HmacSecretFile(_) => "requester.jwt.hmac_secret_file",
        }
    }
}

impl Jwt {
    fn source(&self) -> Result<JwtSource, SettingsError> {
        let within = |path: &str, value: u64, (least, most): (u64, u64)| {
            let problem = || SettingsError::new(path, format!("must be {least} to {most}, and is {value}"));
            if (least..=most).contains(&value) { Ok(Duration::from_secs(value)) } else { Err(problem()) }
        };
        if self.claim.is_empty() {
            return Err(SettingsError::new("requester.jwt.claim", "must name a claim"));
        }
        // The variable of a template that nobody filled in must not switch the check off.
        for (path, value) in [("requester.jwt.issuer", &self.issuer), ("requester.jwt.audience", &self.audience)] {
            if value.as_deref() == Some("") {
                return Err(SettingsError::new(path, "is empty; without it, nothing is checked"));
            }
        }
        if self.scope.as_deref().is_some_and(|scope| !is_scope(scope)) {
            return Err(SettingsError::new("requester.jwt.scope", "must be one scope, without spaces and quotes"));
        }
        Ok(JwtSource {
            keys: self.keys()?,
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            claim: self.claim.clone(),
            scope: self.scope.clone(),
            leeway: within("requester.jwt.leeway_seconds", self.leeway_seconds, (0, LONGEST_LEEWAY_SECONDS))?,
            refresh: within("requester.jwt.refresh_seconds", self.refresh_seconds, (1, LONGEST_REFRESH_SECONDS))?,
        })
    }

    fn keys(&self) -> Result<KeySource, SettingsError> {
        let file = self.jwks_file.as_ref().map(|path| Ok(KeySource::JwksFile(path.into())));
        let url = self.jwks_url.as_ref().map(|url| jwks_url(url).map(KeySource::JwksUrl));
        let secret = self.hmac_secret_file.as_ref().map(|path| Ok(KeySource::HmacSecretFile(path.into())));
        let [first, second, third] =
            ["jwks_file", "jwks_url", "hmac_secret_file"].map(|name| variable(&format!("requester.jwt.{name}")));
        let mut set = [file, url, secret].into_iter().flatten();
        let Some(keys) = set.next() else {
            let problem = format!("is not set; it, {second} or {third} must tell how tokens are verified");
            return Err(SettingsError { setting: first, problem });
        };
        let keys = keys?;
        match set.next().transpose()? {
            Some(other) => {
                let problem = format!("is set beside {}; one of them must go", variable(keys.setting()));
                Err(SettingsError::new(other.setting(), problem))
            }
            None => Ok(keys),
        }
    }
}

/// Whoever can change what comes from this URL can be any requester, and plain HTTP protects nothing on a network.
fn jwks_url(text: &str) -> Result<Url, SettingsError> {
    let refuse = |problem: &str| Err(SettingsError::new("requester.jwt.jwks_url", problem));
    // What is not understood is not shown: it may have a password in it.
    let Ok(url) = Url::parse(text) else { return refuse("is not a URL like https://issuer.example/jwks.json") };
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("has a user or a password in it; keys are public");
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => refuse("must be https; plain http is for a sidecar on the loopback address"),
        _ => refuse("must begin with https://"),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// As RFC 6749 has it, so that it can stand between quotes in a header.
fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}
