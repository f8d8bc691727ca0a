//! The trace of the caller, from the headers of W3C Trace Context. `baggage` is not read.

use std::collections::HashMap;

use actix_web::http::header::HeaderMap;
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_sdk::propagation::TraceContextPropagator;

pub const TRACE_PARENT: &str = "traceparent";
pub const TRACE_STATE: &str = "tracestate";

/// The longest `tracestate` that is passed on, in characters, and the most members. Every span of
/// the trace contains it. W3C asks every party to pass on states of this size. OpenTelemetry's
/// library has no limit of its own.
const LONGEST_STATE: usize = 512;
const MOST_MEMBERS: usize = 32;

/// The bytes of a `traceparent` that every version has: version, trace, span and flags.
const PARENT_LENGTH: usize = 55;
const PARENT_DASHES: [usize; 3] = [2, 35, 52];

/// `None` if the trace of the caller is missing or not in the form of W3C.
pub fn context(headers: &HeaderMap) -> Option<Context> {
    let mut caller = HashMap::from([(TRACE_PARENT.to_owned(), parent(headers)?.to_owned())]);
    caller.extend(state(headers).map(|state| (TRACE_STATE.to_owned(), state)));
    Some(TraceContextPropagator::new().extract(&caller))
}

fn parent(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(TRACE_PARENT);
    let parent = values.next()?.to_str().ok()?;
    (values.next().is_none() && is_parent(parent)).then_some(parent)
}

/// OpenTelemetry's library would also accept shorter ids and signs.
fn is_parent(text: &str) -> bool {
    let is_right = |(place, byte): (usize, u8)| match PARENT_DASHES.contains(&place) {
        true => byte == b'-',
        false => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    };
    text.len() >= PARENT_LENGTH && text.bytes().take(PARENT_LENGTH).enumerate().all(is_right)
}

/// The members of all headers of the name, in their order. `None` if they are too many or too long.
fn state(headers: &HeaderMap) -> Option<String> {
    let mut state = String::new();
    for value in headers.get_all(TRACE_STATE) {
        if !state.is_empty() {
            state.push(',');
        }
        state.push_str(value.to_str().ok()?);
        if state.len() > LONGEST_STATE {
            return None;
        }
    }
    (state.split(',').count() <= MOST_MEMBERS).then_some(state)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};
    use opentelemetry::trace::TraceContextExt;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(values: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    /// The state in the spans of a call with these headers.
    fn carried(states: &[&str]) -> String {
        let states = states.iter().map(|state| (TRACE_STATE, *state));
        let all: Vec<_> = [(TRACE_PARENT, PARENT)].into_iter().chain(states).collect();
        let context = context(&headers(&all)).unwrap();
        context.span().span_context().trace_state().header()
    }

    #[test]
    fn a_trace_is_named_once_and_to_the_letter() {
        let short = PARENT.replace("4bf92f35", "");
        let signed = PARENT.replace("-4bf9", "-+bf9");
        let upper_case = PARENT.to_uppercase();
        for parent in ["", "00", &short, &signed, &upper_case, &PARENT.replace('-', "_")] {
            assert!(context(&headers(&[(TRACE_PARENT, parent)])).is_none(), "{parent}");
        }
        assert!(context(&headers(&[(TRACE_PARENT, PARENT), (TRACE_PARENT, PARENT)])).is_none());
        assert!(context(&headers(&[(TRACE_STATE, "a=b")])).is_none());
        assert!(context(&headers(&[(TRACE_PARENT, PARENT)])).is_some());
    }

    #[test]
    fn a_state_is_carried_up_to_512_characters_and_32_members() {
        let half = format!("a={}", "b".repeat(253));
        let other_half = format!("c={}", "b".repeat(254));
        let members = |count: usize| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        assert_eq!(carried(&["a=b", "c=d"]), "a=b,c=d");
        assert_eq!(carried(&[&half, &other_half]).len(), 512);
        assert_eq!(carried(&[&other_half, &half, "e=f"]), "");
        assert_eq!(carried(&[&half, &format!("{other_half}b")]), "");
        assert_eq!(carried(&[&format!("a={}", "b".repeat(60_000))]), "");
        assert_eq!(carried(&[&members(32)]), members(32));
        assert_eq!(carried(&[&members(33)]), "");
    }
}
