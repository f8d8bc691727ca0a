//! The command line of `openapi`.

use clap::Args;
use reqwest::Url;

use super::version::Version;

#[derive(Args)]
pub struct Arguments {
    /// The version of OpenAPI. Some gateways and generators read only 3.0.
    #[arg(long, value_enum, default_value_t)]
    pub version: Version,
    /// The URL at which callers reach the service, like https://api.example.com.
    #[arg(long, value_name = "URL", value_parser = server_url)]
    server: Option<String>,
}

impl Arguments {
    pub fn server(&self) -> &str {
        self.server.as_deref().unwrap_or("/")
    }
}

/// Removes a slash at the end, because every path of the document begins with one.
fn server_url(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| format!("{error}; an example is https://api.example.com"))?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err("the URL must begin with https:// or http://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL must not have a user or a password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("the URL must not have a query or a fragment".to_owned());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_url_is_absolute_and_has_no_slash_at_its_end() {
        for (text, url) in [
            ("https://api.example.com", "https://api.example.com"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
            ("https://api.example.com/deletion/", "https://api.example.com/deletion"),
        ] {
            assert_eq!(server_url(text), Ok(url.to_owned()));
        }
    }

    #[test]
    fn another_server_url_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "an example is https://api.example.com"),
            ("api.example.com", "an example is https://api.example.com"),
            ("/deletion", "an example is https://api.example.com"),
            ("https://", "an example is https://api.example.com"),
            ("localhost:8080", "must begin with https:// or http://"),
            ("ftp://api.example.com", "must begin with https:// or http://"),
            ("https://user@api.example.com", "a user or a password"),
            ("https://:secret@api.example.com", "a user or a password"),
            ("https://api.example.com?a=b", "a query or a fragment"),
            ("https://api.example.com#a", "a query or a fragment"),
        ] {
            let error = server_url(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
