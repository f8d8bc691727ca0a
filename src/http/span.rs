//! The span of a call. Names, types and status follow OpenTelemetry's semantic conventions for HTTP
//! servers.
//!
//! The query is left out although the conventions ask for it: clients put tokens and personal data
//! there.

use actix_web::dev::RequestHead;
use actix_web::http::Uri;
use actix_web::http::header::{HeaderMap, X_FORWARDED_PROTO};
use tracing::Span;
use tracing::field::Empty;

use super::report::method;
use crate::telemetry::traces;

/// The word of OpenTelemetry for a method that is not a known one.
pub const OTHER_METHOD: &str = "_OTHER";

/// More bytes than the longest path of a route, and than the longest registered method. A caller
/// may send far more.
const LONGEST_PATH: usize = 256;
const LONGEST_METHOD: usize = 32;

/// How a call ended.
pub struct End<'a> {
    pub method: &'static str,
    pub route: Option<&'a str>,
    /// `None` if the client hung up before it had an answer.
    pub status: Option<u16>,
    pub request_id: Option<&'a str>,
    pub error_code: Option<&'a str>,
}

/// A disabled span where traces are off.
pub fn begin(head: &RequestHead) -> Span {
    let known_method = method(&head.method);
    tracing::info_span!(
        target: traces::TARGET,
        "call",
        otel.kind = "server",
        otel.name = name(known_method, None),
        otel.status_code = Empty,
        http.request.method = known_method,
        http.request.method_original =
            (known_method == OTHER_METHOD).then(|| cut(head.method.as_str(), LONGEST_METHOD)),
        url.scheme = scheme(head.headers()),
        url.path = path(&head.uri),
        http.route = Empty,
        http.response.status_code = Empty,
        error.type = Empty,
        customer_deletion.request_id = Empty,
        customer_deletion.error_code = Empty,
    )
}

pub fn end(span: &Span, call: &End<'_>) {
    if span.is_disabled() {
        return;
    }
    if let Some(route) = call.route {
        traces::rename(span, name(call.method, Some(route)));
        span.record("http.route", route);
    }
    span.record("customer_deletion.request_id", call.request_id);
    span.record("customer_deletion.error_code", call.error_code);
    // The library exports an integer of another type than i64 as a string.
    span.record("http.response.status_code", call.status.map(i64::from));
    match call.status {
        Some(status @ 500..) => traces::fail(span, &status.to_string()),
        // A refusal is no failure of the service.
        Some(_) => {}
        None => traces::fail(span, traces::CANCELLED),
    }
}

fn name(method: &str, route: Option<&str>) -> String {
    let method = if method == OTHER_METHOD { "HTTP" } else { method };
    route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"))
}

/// The scheme that the client used, if the gateway tells. The service itself has no TLS.
fn scheme(headers: &HeaderMap) -> &'static str {
    match headers.get(X_FORWARDED_PROTO) {
        Some(scheme) if scheme.as_bytes().eq_ignore_ascii_case(b"https") => "https",
        Some(_) | None => "http",
    }
}

fn path(uri: &Uri) -> &str {
    cut(uri.path(), LONGEST_PATH)
}

/// The first bytes of what may be any text.
fn cut(text: &str, longest: usize) -> &str {
    &text[..text.floor_char_boundary(longest)]
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn a_span_is_named_after_method_and_route() {
        assert_eq!(name("GET", None), "GET");
        assert_eq!(name("GET", Some("/docs")), "GET /docs");
        assert_eq!(name(OTHER_METHOD, None), "HTTP");
        assert_eq!(name(OTHER_METHOD, Some("/docs")), "HTTP /docs");
    }

    #[test]
    fn the_scheme_is_that_of_the_client_or_http() {
        for (forwarded, expected) in
            [(None, "http"), (Some("https"), "https"), (Some("HTTPS"), "https"), (Some("ftp"), "http")]
        {
            let mut headers = HeaderMap::new();
            if let Some(scheme) = forwarded {
                headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
            }
            assert_eq!(scheme(&headers), expected, "{forwarded:?}");
        }
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(cut("short", 32), "short");
        assert_eq!(cut("abcd", 3), "abc");
        assert_eq!(cut("ab\u{fc}", 3), "ab");
    }
}
