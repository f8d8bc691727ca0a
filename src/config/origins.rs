//! The origins whose web pages may call.

use reqwest::Url;

use super::{Settings, SettingsError};

const PATH: &str = "http.allowed_origins";

#[derive(Debug, PartialEq, Eq)]
pub enum AllowedOrigins {
    None,
    /// The origins, each as a browser sends it.
    Listed(Vec<String>),
    Any,
}

impl Settings {
    /// Fails if an entry is not written as a browser sends an origin, or if `*` is set without the
    /// source `jwt`.
    pub fn allowed_origins(&self) -> Result<AllowedOrigins, SettingsError> {
        let entries = self.http.allowed_origins.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let entries: Vec<&str> = entries.collect();
        match entries[..] {
            [] => Ok(AllowedOrigins::None),
            ["*"] if self.requester.is_jwt() => Ok(AllowedOrigins::Any),
            // A page that runs in a trusted network could send the header of any requester.
            ["*"] => Err(refuse("must not be `*` with the source `header`: every web page could then delete")),
            _ if entries.contains(&"*") => Err(refuse("must be `*` or a list of origins, and is both")),
            _ => entries.into_iter().map(origin).collect::<Result<_, _>>().map(AllowedOrigins::Listed),
        }
    }
}

/// A message never quotes an entry that is not an origin, because it may contain a password.
fn origin(entry: &str) -> Result<String, SettingsError> {
    let url =
        Url::parse(entry).ok().filter(|url| url.has_host() && url.username().is_empty() && url.password().is_none());
    let Some(url) = url else {
        return Err(refuse("has an entry that is not an origin like https://app.example.com"));
    };
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let origin = format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default());
    if origin == entry {
        Ok(origin)
    } else {
        Err(refuse(&format!("has an entry that no browser sends: write it as {origin}, without a path or a slash")))
    }
}

fn refuse(problem: &str) -> SettingsError {
    SettingsError::new(PATH, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(source: &str, origins: &str) -> Result<AllowedOrigins, String> {
        let mut settings = Settings::default();
        settings.requester.source = Some(source.to_owned());
        settings.http.allowed_origins = origins.to_owned();
        settings.allowed_origins().map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_allowed_unless_it_is_listed() {
        for origins in ["", " ", ",", " , "] {
            assert_eq!(allowed("header", origins), Ok(AllowedOrigins::None), "{origins:?}");
        }
    }

    #[test]
    fn origins_are_listed_as_browsers_write_them() {
        let origins = [
            "https://app.example.com",
            "https://app.example.com:8443",
            "http://localhost:3000",
            "http://127.0.0.1:3000",
            "http://[::1]:3000",
            "https://xn--bcher-kva.example",
            "capacitor://localhost",
        ];
        let listed = AllowedOrigins::Listed(origins.map(str::to_owned).to_vec());
        assert_eq!(allowed("header", &origins.join(",")).as_ref(), Ok(&listed));
        assert_eq!(allowed("jwt", &format!(" {} , ", origins.join(" ,\t"))).as_ref(), Ok(&listed));
    }

    #[test]
    fn an_entry_that_would_match_nothing_is_named_and_its_right_form_told() {
        for (entry, right) in [
            ("https://app.example.com/", "https://app.example.com"),
            ("https://app.example.com/app", "https://app.example.com"),
            ("https://app.example.com?x", "https://app.example.com"),
            ("https://app.example.com#x", "https://app.example.com"),
            ("https://app.example.com:443", "https://app.example.com"),
            ("http://app.example.com:80", "http://app.example.com"),
            ("https://App.example.com", "https://app.example.com"),
            ("HTTPS://app.example.com", "https://app.example.com"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("https:app.example.com", "https://app.example.com"),
        ] {
            let problem = allowed("jwt", &format!("https://other.example,{entry}")).unwrap_err();
            let expected = format!(
                "CUSTOMER_DELETION__HTTP__ALLOWED_ORIGINS: has an entry that no browser sends: write it as {right}, \
                 without a path or a slash"
            );
            assert_eq!(problem, expected, "{entry}");
        }
    }

    #[test]
    fn what_is_not_an_origin_is_named_and_not_shown() {
        for entry in [
            "app.example.com",
            "app.example.com:8443",
            "//app.example.com",
            "null",
            "https://",
            "https://*.example.com:x",
            "https://me:hunter2@app.example.com",
            "file:///home",
            "data:text/html,x",
            "hunter2",
        ] {
            let problem = allowed("jwt", entry).unwrap_err();
            assert!(
                problem.starts_with("CUSTOMER_DELETION__HTTP__ALLOWED_ORIGINS: has an entry that is not"),
                "{problem}"
            );
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }

    #[test]
    fn every_origin_is_allowed_only_where_a_call_has_a_token() {
        assert_eq!(allowed("jwt", " * "), Ok(AllowedOrigins::Any));
        assert_eq!(
            allowed("header", "*").unwrap_err(),
            "CUSTOMER_DELETION__HTTP__ALLOWED_ORIGINS: must not be `*` with the source `header`: every web page could \
             then delete"
        );
        for source in ["header", "jwt"] {
            let problem = allowed(source, "*, https://app.example.com").unwrap_err();
            assert!(problem.contains("must be `*` or a list of origins"), "{problem}");
        }
    }
}
