//! The source of the keys of tokens: a file, a URL, or the configuration of the issuer.

use std::net::IpAddr;
use std::path::PathBuf;

use reqwest::Url;

use super::{ISSUER, JwtSettings};
use crate::config::{SettingsError, variable};

#[derive(Clone, Debug)]
pub enum KeySource {
    JwksFile(PathBuf),
    JwksUrl(Url),
    HmacSecretFile(PathBuf),
    /// The URL of the keys is in the configuration of the issuer.
    Issuer {
        issuer: String,
        configuration: Url,
    },
}

impl KeySource {
    /// The path of the setting.
    pub fn setting(&self) -> &'static str {
        match self {
            KeySource::JwksFile(_) => "requester.jwt.jwks_file",
            KeySource::JwksUrl(_) => "requester.jwt.jwks_url",
            KeySource::HmacSecretFile(_) => "requester.jwt.hmac_secret_file",
            KeySource::Issuer { .. } => ISSUER,
        }
    }
}

impl JwtSettings {
    pub(super) fn keys(&self) -> Result<KeySource, SettingsError> {
        let file = self.jwks_file.as_ref().map(|path| Ok(KeySource::JwksFile(path.into())));
        let url = self.jwks_url.as_ref().map(|url| {
            let refuse = |problem| SettingsError::new("requester.jwt.jwks_url", problem);
            published_url(url).map(KeySource::JwksUrl).map_err(refuse)
        });
        let secret = self.hmac_secret_file.as_ref().map(|path| Ok(KeySource::HmacSecretFile(path.into())));
        let mut set = [file, url, secret].into_iter().flatten();
        let Some(keys) = set.next() else { return self.discovered_keys() };
        let keys = keys?;
        match set.next().transpose()? {
            Some(other) => {
                let problem = format!("is set beside {}; remove one of them", variable(keys.setting()));
                Err(SettingsError::new(other.setting(), problem))
            }
            None => Ok(keys),
        }
    }

    /// OpenID Connect Discovery: the configuration is below the issuer.
    fn discovered_keys(&self) -> Result<KeySource, SettingsError> {
        let [file, url, secret, issuer] = ["jwks_file", "jwks_url", "hmac_secret_file", "issuer"]
            .map(|name| variable(&format!("requester.jwt.{name}")));
        let Some(name) = &self.issuer else {
            let problem = format!("is not set; to verify tokens, set it, {url}, {secret} or {issuer}");
            return Err(SettingsError { setting: file, problem });
        };
        let refuse = |problem: &str| {
            let problem = format!("{problem}: the keys are discovered there, unless {url}, {file} or {secret} is set");
            SettingsError { setting: issuer.clone(), problem }
        };
        let mut configuration = published_url(name).map_err(refuse)?;
        if configuration.query().is_some() || configuration.fragment().is_some() {
            return Err(refuse("has a query or a fragment"));
        }
        let path = format!("{}/.well-known/openid-configuration", configuration.path().trim_end_matches('/'));
        configuration.set_path(&path);
        Ok(KeySource::Issuer { issuer: name.clone(), configuration })
    }
}

/// A URL from which keys may be fetched: https, or plain http on the loopback address. Somebody who
/// can change the answer can be any requester.
pub fn published_url(text: &str) -> Result<Url, &'static str> {
    // A text that is not a URL is not shown, because it may have a password in it.
    let url = Url::parse(text).map_err(|_| "is not a URL like https://issuer.example/")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user or a password in it; keys are public");
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err("must be https; plain http is for a sidecar on the loopback address"),
        _ => Err("must begin with https://"),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
