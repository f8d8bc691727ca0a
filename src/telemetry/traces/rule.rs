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
    /// At most so many bytes.
    Text(usize),
    /// With the scheme `http` or `https`.
    Url,
    /// `key=value,key=value`, where each key is the name of a header.
    Headers,
    /// `key=value,key=value`, of at most so many bytes.
    Pairs(usize),
    /// It must not be set. The text says why.
    Unsupported(&'static str),
}

impl Rule {
    /// # Errors
    ///
    /// Says what is wrong, without a value that may be a secret.
    pub fn check(&self, value: &str) -> Result<(), String> {
        if self.accepts(value) {
            return Ok(());
        }
        match self {
            Rule::Unsupported(reason) => Err((*reason).to_owned()),
            Rule::Url | Rule::Headers | Rule::Pairs(_) | Rule::Text(_) => Err(format!("must be {}", self.demand())),
            Rule::Boolean | Rule::Word(_) | Rule::Words(..) | Rule::Number(..) | Rule::Ratio => {
                Err(format!("must be {}, and is `{value}`", self.demand()))
            }
        }
    }

    fn accepts(&self, value: &str) -> bool {
        match self {
            Rule::Boolean => ["true", "false"].iter().any(|word| value.eq_ignore_ascii_case(word)),
            Rule::Word(words) => words.contains(&value),
            Rule::Words(first, second) => {
                let mut words = value.split(',').map(str::trim);
                words.clone().any(|word| word == *first) && words.all(|word| [first, second].contains(&&word))
            }
            Rule::Number(least, most) => value.parse().is_ok_and(|number: u64| (*least..=*most).contains(&number)),
            Rule::Ratio => value.parse().is_ok_and(|ratio: f64| (0.0..=1.0).contains(&ratio)),
            Rule::Text(longest) => value.len() <= *longest,
            Rule::Url => is_endpoint(value),
            Rule::Headers => are_pairs(value, |name, value| {
                name.parse::<HeaderName>().is_ok() && !value.is_empty() && value.bytes().all(is_visible)
            }),
            Rule::Pairs(longest) => value.len() <= *longest && are_pairs(value, |name, _| !name.is_empty()),
            Rule::Unsupported(_) => false,
        }
    }

    fn demand(&self) -> String {
        match self {
            Rule::Boolean => "true or false".to_owned(),
            Rule::Word(words) => match words {
                [first, second] => format!("{first} or {second}"),
                words => words.join(", "),
            },
            Rule::Words(first, second) => format!("{first}, or {first},{second}"),
            Rule::Number(least, most) => format!("a whole number from {least} to {most}"),
            Rule::Ratio => "a number from 0 to 1".to_owned(),
            Rule::Text(longest) => format!("of at most {longest} bytes"),
            Rule::Url => "a URL like http://collector:4318, without a user or a password".to_owned(),
            Rule::Headers => "of the form key=value,key=value".to_owned(),
            Rule::Pairs(longest) => format!("of the form key=value,key=value, and of at most {longest} bytes"),
            Rule::Unsupported(_) => "left out".to_owned(),
        }
    }
}

/// Each of the two parsers accepts some texts that the other refuses. A user and a password would not be sent, but logged at
/// the level `trace`.
fn is_endpoint(text: &str) -> bool {
    let is_http = |uri: Uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    };
    let is_anonymous = |url: Url| url.username().is_empty() && url.password().is_none();
    Url::parse(text).is_ok_and(is_anonymous) && text.parse().is_ok_and(is_http)
}

/// Spaces around a pair and a comma at the end are allowed. The library decodes percent-encoded
/// values.
fn are_pairs(text: &str, is_pair: impl Fn(&str, &str) -> bool) -> bool {
    text.split_terminator(',')
        .all(|pair| pair.trim().split_once('=').is_some_and(|(name, value)| is_pair(name.trim(), value.trim())))
}

fn is_visible(byte: u8) -> bool {
    byte == b' ' || byte.is_ascii_graphic()
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
            assert!(Rule::Headers.accepts(text), "{text}");
        }
        for text in ["a", "a=b,c", "=b", "a=", "a b=c", "a=b,,c=d", "a=\u{fc}"] {
            assert!(!Rule::Headers.accepts(text), "{text}");
        }
    }
}
