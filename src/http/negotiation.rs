//! Content negotiation of failures (RFC 9110, section 12.5.1): the envelope, or a problem (RFC
//! 9457).

use actix_web::http::header::{ACCEPT, HeaderMap, Quality, QualityItem, from_comma_delimited};
use mime::Mime;

pub const PROBLEM: &str = "application/problem+json";
const ENVELOPE: &str = "application/json";

/// Whether a failure is answered as a problem. At equal quality, the problem wins only if the
/// client names its media type. The envelope is sent if the header is missing, accepts neither, or
/// has only a wildcard.
pub fn prefers_problem(headers: &HeaderMap) -> bool {
    let ranges: Vec<QualityItem<Mime>> = from_comma_delimited(headers.get_all(ACCEPT)).unwrap_or_default();
    // The most specific range decides.
    let accepted = |media_type| {
        ranges.iter().filter_map(|range| Some((specificity(&range.item, media_type)?, range.quality))).max()
    };
    let Some((specificity, problem)) = accepted(PROBLEM) else { return false };
    let envelope = accepted(ENVELOPE).map_or(Quality::ZERO, |(_, quality)| quality);
    problem > envelope || problem == envelope && problem > Quality::ZERO && specificity == Specificity::Named
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Specificity {
    Anything,
    AnySubtype,
    Named,
}

/// Returns `None` if the range does not include the type. Ignores parameters.
fn specificity(range: &Mime, media_type: &str) -> Option<Specificity> {
    match range.essence_str() {
        "*/*" => Some(Specificity::Anything),
        "application/*" => Some(Specificity::AnySubtype),
        range => (range == media_type).then_some(Specificity::Named),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn prefers(values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPT, HeaderValue::from_str(value).unwrap());
        }
        prefers_problem(&headers)
    }

    #[test]
    fn a_client_that_names_the_problem_gets_it() {
        for value in [
            "application/problem+json",
            "Application/Problem+JSON",
            "application/problem+json; charset=utf-8",
            "application/problem+json, application/json",
            "application/json, application/problem+json",
            "application/problem+json, */*",
            "application/problem+json;q=0.5, */*;q=0.4",
            "application/problem+json ; Q=0.001",
            "application/json;q=0.4 , application/problem+json;q=0.5",
            "text/html, application/problem+json;q=0.9, */*;q=0.8",
            "application/problem+json;q=1.000",
            ",, application/problem+json,",
        ] {
            assert!(prefers(&[value]), "{value}");
        }
        assert!(prefers(&["application/json", "application/problem+json"]));
    }

    #[test]
    fn a_client_that_likes_the_envelope_less_than_a_wildcard_gets_the_problem() {
        for value in [
            "application/json;q=0, */*",
            "application/json;q=0.5, application/*",
            "application/json;q=0.1, */*;q=0.2",
            "application/problem+json, application/json;q=0",
        ] {
            assert!(prefers(&[value]), "{value}");
        }
    }

    #[test]
    fn every_other_client_gets_the_envelope() {
        for value in [
            "",
            "*/*",
            "application/*",
            "application/json",
            "application/json, */*",
            "text/html,application/xml;q=0.9,*/*;q=0.8",
            "application/problem+json;q=0.5, application/json",
            "application/problem+json;q=0.5, */*",
            "application/problem+json;q=0, */*",
            "application/problem+json;q=0",
            "application/problem+json;q=0, application/json;q=0",
            "application/problem+xml",
            "application/problem+jsonx",
            "text/html",
            "*",
            // The quality is malformed, so the range does not count.
            "application/problem+json;q=2",
            "application/problem+json;q=1.001",
            "application/problem+json;q=0.1234",
            "application/problem+json;q=-0.1",
            "application/problem+json;q=",
            "application/problem+json;q=.5",
            "application/problem+json;q=0.+1",
        ] {
            assert!(!prefers(&[value]), "{value}");
        }
        assert!(!prefers(&[]));
    }

    #[test]
    fn the_most_specific_range_decides_wherever_it_stands() {
        for value in
            ["application/problem+json;q=0.1, application/*;q=0.9", "application/*, application/problem+json;q=0"]
        {
            assert!(!prefers(&[value]), "{value}");
        }
        assert!(prefers(&["application/json;q=0.1, application/*;q=0.2, */*;q=0"]));
    }
}
