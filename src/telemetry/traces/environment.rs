//! The variables of OpenTelemetry, refused where the library would pass over them in silence and no span would arrive.
//!
//! No message shows a value that may be a secret: headers are, and an endpoint may have one in it.

use std::env;

use actix_web::http::Uri;
use actix_web::http::header::HeaderName;
use reqwest::Url;

use crate::config::SettingsError;

const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

const NUMBERS: [&str; 7] = [
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_BSP_EXPORT_TIMEOUT",
    "OTEL_BSP_MAX_CONCURRENT_EXPORTS",
];

/// The variable that names the collector. None where there is none, or where traces are turned off.
pub fn endpoint() -> Result<Option<&'static str>, SettingsError> {
    if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    match variable("OTEL_TRACES_EXPORTER").as_deref() {
        Some("none") => return Ok(None),
        None | Some("otlp") => {}
        Some(other) => return refuse("OTEL_TRACES_EXPORTER", format!("must be `otlp` or `none`, and is `{other}`")),
    }
    // The more special one wins.
    let names = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    let Some((name, text)) = names.into_iter().find_map(|name| Some((name, variable(name)?))) else {
        return Ok(None);
    };
    if is_endpoint(&text) { Ok(Some(name)) } else { refuse(name, "must be a URL like http://collector:4318") }
}

/// Each parser takes something that the other does not.
fn is_endpoint(text: &str) -> bool {
    let is_http = |uri: Uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    };
    Url::parse(text).is_ok() && text.parse().is_ok_and(is_http)
}

/// Refuses what cannot be followed of all the rest.
pub fn validate() -> Result<(), SettingsError> {
    for name in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
        check(name, |value| value == "http/protobuf", "must be `http/protobuf`")?;
    }
    for name in ["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"] {
        check(name, |value| value.eq_ignore_ascii_case("none"), "must be `none`")?;
    }
    for name in NUMBERS {
        check(name, |value| value.parse::<u64>().is_ok(), "must be a whole number")?;
    }
    for name in ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"] {
        if variable(name).is_some_and(|value| !are_headers(&value)) {
            return refuse(name, "must be of the form key=value,key=value");
        }
    }
    validate_sampler()
}

fn validate_sampler() -> Result<(), SettingsError> {
    let must_be_one = format!("must be one of {}", SAMPLERS.join(", "));
    check("OTEL_TRACES_SAMPLER", |value| SAMPLERS.contains(&value), &must_be_one)?;
    if variable("OTEL_TRACES_SAMPLER").is_some_and(|sampler| sampler.ends_with("traceidratio")) {
        let is_ratio = |value: &str| value.parse().is_ok_and(|ratio: f64| (0.0..=1.0).contains(&ratio));
        check("OTEL_TRACES_SAMPLER_ARG", is_ratio, "must be a number from 0 to 1")?;
    }
    Ok(())
}

/// Spaces around a pair and a comma at the end are allowed. What is percent-encoded is decoded by the library.
fn are_headers(text: &str) -> bool {
    text.split_terminator(',').all(|pair| match pair.trim().split_once('=') {
        Some((name, value)) => {
            let value = value.trim();
            name.trim().parse::<HeaderName>().is_ok() && !value.is_empty() && value.bytes().all(is_visible)
        }
        None => false,
    })
}

fn is_visible(byte: u8) -> bool {
    byte == b' ' || byte.is_ascii_graphic()
}

/// A variable, unless it is not set or empty.
pub fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn check(name: &str, is_right: impl Fn(&str) -> bool, must: &str) -> Result<(), SettingsError> {
    match variable(name) {
        Some(value) if !is_right(&value) => refuse(name, format!("{must}, and is `{value}`")),
        Some(_) | None => Ok(()),
    }
}

fn refuse<T>(name: &str, problem: impl Into<String>) -> Result<T, SettingsError> {
    Err(SettingsError { setting: name.to_owned(), problem: problem.into() })
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
        ] {
            assert!(!is_endpoint(text), "{text}");
        }
    }

    #[test]
    fn headers_are_pairs() {
        for text in ["authorization=Bearer%20x", "a=b, c=d", "a=b=c", "a=b,"] {
            assert!(are_headers(text), "{text}");
        }
        for text in ["a", "a=b,c", "=b", "a=", "a b=c", "a=b,,c=d", "a=\u{fc}"] {
            assert!(!are_headers(text), "{text}");
        }
    }
}
