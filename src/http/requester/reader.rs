//! Reads keys from a file or from the issuer.

use std::error::Error as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};

use super::discovery;
use super::keys::KeySet;
use crate::config::{KeySource, SettingsError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The time in which the last byte of the answer must arrive.
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);

/// The largest answer or file that is read: far more than a key set or a configuration has.
const MAX_BYTES: usize = 1024 * 1024;

/// The source of keys. With an issuer, `url` is the address of its configuration, which names the
/// address of the keys.
pub enum Reader {
    File { path: PathBuf, parse: fn(&[u8]) -> Result<KeySet, String> },
    Url { url: Url, issuer: Option<String>, client: Client },
}

impl Reader {
    /// Returns the keys too if they are in a file.
    pub fn open(source: &KeySource) -> Result<(Reader, Option<KeySet>), SettingsError> {
        let refuse = |problem: String| SettingsError::new(source.setting(), problem);
        let open_file = |path: &Path, parse| {
            let keys = read_file(path, parse).map_err(refuse)?;
            Ok((Reader::File { path: path.to_owned(), parse }, Some(keys)))
        };
        let open_url = |url: &Url, issuer: Option<&String>| {
            let client = client(url).map_err(|error| refuse(format!("cannot be fetched: {}", with_causes(&error))))?;
            Ok((Reader::Url { url: url.clone(), issuer: issuer.cloned(), client }, None))
        };
        match source {
            KeySource::JwksFile(path) => open_file(path, KeySet::from_jwks),
            KeySource::HmacSecretFile(path) => open_file(path, KeySet::from_secret),
            KeySource::JwksUrl(url) => open_url(url, None),
            KeySource::Issuer { issuer, configuration } => open_url(configuration, Some(issuer)),
        }
    }

    pub async fn read(&self) -> Result<KeySet, String> {
        match self {
            Reader::File { path, parse } => {
                let (path, parse) = (path.clone(), *parse);
                let reading = tokio::task::spawn_blocking(move || read_file(&path, parse));
                reading.await.unwrap_or_else(|error| Err(error.to_string()))
            }
            Reader::Url { url, issuer: None, client } => fetch(client, url, KeySet::from_jwks).await,
            Reader::Url { url, issuer: Some(issuer), client } => {
                let keys_url = fetch(client, url, |body| discovery::keys_url(body, issuer, url.scheme())).await?;
                fetch(client, &keys_url, KeySet::from_jwks).await
            }
        }
    }
}

fn read_file(path: &Path, parse: fn(&[u8]) -> Result<KeySet, String>) -> Result<KeySet, String> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    if bytes.len() > MAX_BYTES {
        return Err(format!("{} is larger than {MAX_BYTES} bytes", path.display()));
    }
    parse(&bytes).map_err(|problem| format!("{} {problem}", path.display()))
}

/// The URL for the log and the readiness check. Its query could contain a secret.
fn shown(url: &Url) -> Url {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    shown
}

/// Redirects are not followed: they could lead to a host that the setting would not allow.
fn client(url: &Url) -> reqwest::Result<Client> {
    let client = Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(FETCH_TIMEOUT).redirect(Policy::none());
    if url.scheme() == "https" {
        client.https_only(true).build()
    } else {
        // Plain http is for a sidecar on this machine.
        client.tls_certs_only([]).no_proxy().build()
    }
}

/// Errors begin with the URL.
async fn fetch<T>(client: &Client, url: &Url, parse: impl Fn(&[u8]) -> Result<T, String>) -> Result<T, String> {
    let body = fetch_body(client, url).await;
    body.and_then(|body| parse(&body)).map_err(|problem| format!("{} {problem}", shown(url)))
}

async fn fetch_body(client: &Client, url: &Url) -> Result<Vec<u8>, String> {
    let failed = |error: reqwest::Error| format!("cannot be fetched: {}", with_causes(&error.without_url()));
    let mut response = client.get(url.clone()).send().await.map_err(failed)?;
    if response.status() != StatusCode::OK {
        return Err(format!("answers {}", response.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(format!("answers with more than {MAX_BYTES} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// reqwest's own text leaves out the cause, such as a refused connection or a wrong certificate.
fn with_causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
