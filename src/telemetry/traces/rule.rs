//! The rule for the value of a variable.

use actix_web::http::Uri;
use actix_web::http::header::HeaderName;
use reqwest::Url;

pub enum Rule {
    Boolean,
    Word(&'static [&'static str]),
    /// Words separated by commas: the first, and optionally the second.
    Words(&'static str, &'static str),
    /// A whole number in this range, ends included.
    Number(u64, u64),
    /// A number from 0 to 1.
    Ratio,
    /// The longest accepted text, in bytes.
    Text(usize),
    /// A URL with the scheme `http` or `https`.
    Url,
    /// `key=value,key=value`, where each key is the name of a header.
    Headers,
    /// `key=value,key=value`, of at most so many bytes.
    Pairs(usize),
    /// The variable must not be set. The text says why.
    Unsupported(&'static str),
}

impl Rule {
    /// Says what is wrong, without a value that may be a secret.
    pub fn check(&self, value: &str) -> Result<(), String> {
        let (is_valid, demand) = match self {
            Rule::Boolean => {
                (["true", "false"].iter().any(|word| value.eq_ignore_ascii_case(word)), "true or false".to_owned())
            }
            Rule::Word(words) => (words.contains(&value), words.join(if words.len() == 2 { " or " } else { ", " })),
            Rule::Words(first, second) => {
                let mut words = value.split(',').map(str::trim);
                let is_valid =
                    words.clone().any(|word| word == *first) && words.all(|word| [first, second].contains(&&word));
                (is_valid, format!("{first}, or {first},{second}"))
            }
            Rule::Number(least, most) => {
                let is_valid = value.parse().is_ok_and(|number: u64| (*least..=*most).contains(&number));
                (is_valid, format!("a whole number from {least} to {most}"))
            }
            Rule::Ratio => {
                let is_valid = value.parse().is_ok_and(|ratio: f64| (0.0..=1.0).contains(&ratio));
                (is_valid, "a number from 0 to 1".to_owned())
            }
            Rule::Text(longest) => (value.len() <= *longest, format!("of at most {longest} bytes")),
            Rule::Url => {
                (is_endpoint(value), "a URL like http://collector:4318, without a user or a password".to_owned())
            }
            Rule::Headers => (are_pairs(value, is_header), "of the form key=value,key=value".to_owned()),
            Rule::Pairs(longest) => {
                let is_valid = value.len() <= *longest && are_pairs(value, |name, _| !name.is_empty());
                (is_valid, format!("of the form key=value,key=value, and of at most {longest} bytes"))
            }
            Rule::Unsupported(reason) => return Err((*reason).to_owned()),
        };
        match self {
            _ if is_valid => Ok(()),
            Rule::Url | Rule::Headers | Rule::Pairs(_) | Rule::Text(_) => Err(format!("must be {demand}")),
            _ => Err(format!("must be {demand}, and is `{value}`")),
        }
    }
}

/// Both parsers must accept the text, because each accepts some that the other refuses. Credentials
/// would not be sent, but logged at the level `trace`.
fn is_endpoint(text: &str) -> bool {
    let is_http = |uri: Uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    };
    let is_anonymous = |url: Url| url.username().is_empty() && url.password().is_none();
    Url::parse(text).is_ok_and(is_anonymous) && text.parse().is_ok_and(is_http)
}

/// Spaces around a pair and a comma at the end are allowed. OpenTelemetry's library decodes
/// percent-encoded values.
fn are_pairs(text: &str, is_pair: impl Fn(&str, &str) -> bool) -> bool {
    text.split_terminator(',')
        .all(|pair| pair.trim().split_once('=').is_some_and(|(name, value)| is_pair(name.trim(), value.trim())))
}

fn is_header(name: &str, value: &str) -> bool {
    let is_visible = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    name.parse::<HeaderName>().is_ok() && !value.is_empty() && value.bytes().all(is_visible)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_url_with_a_host() {
        for text in
            ["http://collector:4318", "https://collector.example/otlp/", "http://127.0.0.1:9", "http://[::1]:4318"]
        {
            assert!(is_endpoint(text), "{text}");
        }
        for text in [
            "ftp://collector",
            "http://",
            "http:///v1",
            "http://:4318",
            "collector:4318",
            "http://a b",
            "http://a:99999",
            "http://me:hunter2@collector:4318",
            "http://me@collector:4318",
            "http://:hunter2@collector:4318",
        ] {
            assert!(!is_endpoint(text), "{text}");
        }
    }

    #[test]
    fn headers_are_pairs() {
        for text in ["authorization=Bearer%20x", "a=b, c=d", "a=b=c", "a=b,"] {
            assert!(Rule::Headers.check(text).is_ok(), "{text}");
        }
        for text in ["a", "a=b,c", "=b", "a=", "a b=c", "a=b,,c=d", "a=\u{fc}"] {
            assert!(Rule::Headers.check(text).is_err(), "{text}");
        }
    }
}
