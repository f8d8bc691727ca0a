//! The span of a call. Names, types and status follow OpenTelemetry's semantic conventions for HTTP
//! servers.
//!
//! The query is left out although the conventions ask for it: clients put tokens and personal data
//! there.

use actix_web::dev::RequestHead;
use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, X_FORWARDED_PROTO};
use tracing::Span;
use tracing::field::Empty;

use super::call::EndedCall;
use crate::telemetry::traces;

const METHODS: [&str; 9] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];

/// OpenTelemetry's word for an unknown method.
const OTHER_METHOD: &str = "_OTHER";

/// Limits in bytes. Every route and every registered method is shorter.
const MAX_PATH: usize = 256;
const MAX_METHOD: usize = 32;

/// The span is disabled if traces are off.
pub fn begin(head: &RequestHead) -> Span {
    let known_method = known_method(&head.method);
    tracing::info_span!(
        target: traces::TARGET,
        "call",
        otel.kind = "server",
        otel.name = name(known_method, None),
        otel.status_code = Empty,
        http.request.method = known_method,
        http.request.method_original =
            (known_method == OTHER_METHOD).then(|| cut(head.method.as_str(), MAX_METHOD)),
        url.scheme = scheme(head.headers()),
        url.path = cut(head.uri.path(), MAX_PATH),
        http.route = Empty,
        http.response.status_code = Empty,
        error.type = Empty,
        customer_deletion.request_id = Empty,
        customer_deletion.error_code = Empty,
    )
}

pub fn end(span: &Span, method: &str, end: &EndedCall<'_>) {
    if span.is_disabled() {
        return;
    }
    if let Some(route) = end.route {
        traces::rename(span, name(method, Some(route)));
        span.record("http.route", route);
    }
    span.record("customer_deletion.request_id", end.request_id);
    span.record("customer_deletion.error_code", end.error_code());
    // OpenTelemetry's library exports other integer types than i64 as strings.
    span.record("http.response.status_code", end.status.map(i64::from));
    match end.status {
        Some(status @ 500..) => traces::fail(span, &status.to_string()),
        Some(_) => {}
        None => traces::fail(span, traces::CANCELLED),
    }
}

/// Maps an unregistered method, which may be any word of any length, to one word.
pub fn known_method(method: &Method) -> &'static str {
    METHODS.into_iter().find(|known| *known == method.as_str()).unwrap_or(OTHER_METHOD)
}

fn name(method: &str, route: Option<&str>) -> String {
    let method = if method == OTHER_METHOD { "HTTP" } else { method };
    route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"))
}

/// The scheme that the client used, as the gateway tells it. The service itself has no TLS.
fn scheme(headers: &HeaderMap) -> &'static str {
    match headers.get(X_FORWARDED_PROTO) {
        Some(scheme) if scheme.as_bytes().eq_ignore_ascii_case(b"https") => "https",
        Some(_) | None => "http",
    }
}

/// Cuts a text between characters.
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
