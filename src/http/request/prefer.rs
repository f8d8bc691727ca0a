//! `Prefer` (RFC 7240). With `respond-async`, a call is recorded and executed later. With `wait`,
//! its caller waits for the end of an accepted operation.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

pub const PREFER: HeaderName = HeaderName::from_static("prefer");
pub const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const RESPOND_ASYNC: &str = "respond-async";
const WAIT: &str = "wait";

/// The preferences of a caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preferences {
    /// Whether the call is only recorded, and executed later.
    pub respond_async: bool,
    /// The time that the caller prefers to wait for the end of an operation, in whole seconds.
    pub wait: Option<Duration>,
}

impl Preferences {
    /// RFC 7240: an unknown or malformed preference is ignored. The first `wait` counts, and is at
    /// most `longest`.
    pub fn parse(headers: &HeaderMap, longest: Duration) -> Preferences {
        let (mut respond_async, mut wait) = (false, None);
        let values = headers.get_all(PREFER).filter_map(|value| value.to_str().ok());
        for (name, value) in values.flat_map(preferences).map(name_and_value) {
            respond_async |= name.eq_ignore_ascii_case(RESPOND_ASYNC) && value.is_empty();
            if wait.is_none() && name.eq_ignore_ascii_case(WAIT) {
                wait = Some(value);
            }
        }
        let is_number = |wait: &&str| !wait.is_empty() && wait.bytes().all(|byte| byte.is_ascii_digit());
        // A number that does not fit is longer than the longest wait.
        let seconds = |wait: &str| wait.parse().unwrap_or(u64::MAX).min(longest.as_secs());
        Preferences { respond_async, wait: wait.filter(is_number).map(seconds).map(Duration::from_secs) }
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

/// Parameters may follow. An empty value is the same as no value, and one in quotes as one without.
fn name_and_value(preference: &str) -> (&str, &str) {
    let preference = preference.split(';').next().unwrap_or_default();
    let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
    let value = value.trim();
    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    (name.trim(), quoted.unwrap_or(value))
}

/// Adds the `wait` that was applied to the header `Preference-Applied`, in seconds. Another
/// preference in it stays.
pub fn mark_wait(response: &mut HttpResponse, longest: Duration) {
    // The work before the wait may have shortened it.
    let seconds = longest.as_millis().div_ceil(1000);
    let others = response.headers().get(PREFERENCE_APPLIED).and_then(|applied| applied.to_str().ok());
    let others = others.map(|others| format!("{others}, ")).unwrap_or_default();
    let applied = HeaderValue::try_from(format!("{others}{WAIT}={seconds}")).expect("it has visible characters only");
    response.headers_mut().insert(PREFERENCE_APPLIED, applied);
}

/// Adds the headers of a 202: the applied preference, the address of the operation's details, and
/// the number of seconds after which to ask.
pub fn mark_accepted(response: &mut HttpResponse, operation_id: Uuid) {
    let location = format!("/api/v3/global/call/{operation_id}");
    let location = HeaderValue::try_from(location).expect("a path is a header value");
    response.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static(RESPOND_ASYNC));
    response.headers_mut().insert(header::LOCATION, location);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(PREFER, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn respond_async(values: &[&str]) -> bool {
        Preferences::parse(&headers(values), Duration::MAX).respond_async
    }

    fn wait(values: &[&str], longest: Duration) -> Option<Duration> {
        Preferences::parse(&headers(values), longest).wait
    }

    #[test]
    fn the_first_wait_counts_and_has_a_limit() {
        for (values, seconds) in [
            (&["wait=10"][..], 10),
            (&["WAIT = 10 ; x=y"], 10),
            (&["wait=\"7\""], 7),
            (&["wait=0"], 0),
            (&["respond-async, wait=5, wait=6"], 5),
            (&["respond-async", "wait=5"], 5),
            (&["wait=17"], 17),
            (&["wait=18"], 17),
            (&["wait=99999999999999999999999"], 17),
        ] {
            assert_eq!(wait(values, Duration::from_millis(17_900)), Some(Duration::from_secs(seconds)), "{values:?}");
        }
    }

    #[test]
    fn a_wait_that_was_applied_is_told_beside_others() {
        let mut response = HttpResponse::Ok().finish();
        mark_wait(&mut response, Duration::from_millis(8_001));
        assert_eq!(response.headers().get(PREFERENCE_APPLIED).unwrap(), "wait=9");
        mark_accepted(&mut response, Uuid::nil());
        mark_wait(&mut response, Duration::from_secs(9));
        assert_eq!(response.headers().get(PREFERENCE_APPLIED).unwrap(), "respond-async, wait=9");
    }

    #[test]
    fn a_malformed_wait_is_ignored() {
        for value in [
            "",
            "wait",
            "wait=",
            "wait=-1",
            "wait=+1",
            "wait=1.5",
            "wait=soon",
            "x; wait=1",
            "x=\"a, wait=1\"",
            "waits=1",
        ] {
            assert_eq!(wait(&[value], Duration::MAX), None, "{value}");
        }
        // Even if a good one follows: the first counts.
        assert_eq!(wait(&["wait=soon, wait=1"], Duration::MAX), None);
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
            assert!(respond_async(&[value]), "{value}");
        }
        assert!(respond_async(&["wait=10", "respond-async"]));
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
            assert!(!respond_async(&[value]), "{value}");
        }
        assert!(!respond_async(&[]));
    }
}
