//! `Prefer: respond-async` (RFC 7240): the caller does not wait for the outcome.

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

pub const PREFER: HeaderName = HeaderName::from_static("prefer");
pub const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const RESPOND_ASYNC: &str = "respond-async";

/// Whether the caller waits for the outcome of its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preference {
    Wait,
    RespondAsync,
}

/// RFC 7240: an unknown or malformed preference is ignored.
pub fn preference(headers: &HeaderMap) -> Preference {
    let mut values = headers.get_all(PREFER).filter_map(|value| value.to_str().ok());
    if values.any(|value| preferences(value).any(is_respond_async)) {
        Preference::RespondAsync
    } else {
        Preference::Wait
    }
}

/// Splits at commas outside quotes.
fn preferences(value: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    value.split(move |character| {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => return true,
            _ => {}
        }
        false
    })
}

/// Parameters may follow. An empty value is the same as no value.
fn is_respond_async(preference: &str) -> bool {
    let preference = preference.split(';').next().unwrap_or_default();
    let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
    name.trim().eq_ignore_ascii_case(RESPOND_ASYNC) && matches!(value.trim(), "" | "\"\"")
}

/// Tells that the preference was applied, and where the outcome can be read.
pub fn mark(response: &mut HttpResponse, operation_id: Uuid) {
    let location = format!("/api/v3/global/call/{operation_id}");
    let location = HeaderValue::try_from(location).expect("a path is a header value");
    response.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static(RESPOND_ASYNC));
    response.headers_mut().insert(header::LOCATION, location);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Preference {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(PREFER, HeaderValue::from_str(value).unwrap());
        }
        preference(&headers)
    }

    #[test]
    fn a_caller_that_prefers_it_does_not_wait() {
        for value in [
            "respond-async",
            "Respond-Async",
            " respond-async ",
            "respond-async, wait=10",
            "wait=10,respond-async",
            "respond-async; foo=bar",
            "respond-async=\"\"",
            "respond-async=",
            "handling=lenient , respond-async",
            "x=\"a,b\", respond-async",
            "x=\"a\\\",\", respond-async",
        ] {
            assert_eq!(of(&[value]), Preference::RespondAsync, "{value}");
        }
        assert_eq!(of(&["wait=10", "respond-async"]), Preference::RespondAsync);
    }

    #[test]
    fn another_preference_changes_nothing() {
        for value in [
            "",
            ",",
            "wait=10",
            "return=minimal",
            "respond-async=1",
            "respond-asynchronously",
            "not-respond-async",
            "x=respond-async",
            "x=\"a, respond-async\"",
            "x=\"a\\\", respond-async\"",
            "x; respond-async",
        ] {
            assert_eq!(of(&[value]), Preference::Wait, "{value}");
        }
        assert_eq!(of(&[]), Preference::Wait);
    }
}
