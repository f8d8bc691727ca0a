//! Content negotiation of failures (RFC 9110, section 12.5.1): the envelope, or a problem (RFC
//! 9457).

use actix_web::http::header::{ACCEPT, HeaderMap};

pub const PROBLEM: &str = "application/problem+json";
const ENVELOPE: &str = "application/json";

/// Whether a failure is answered as a problem. At equal quality, the problem wins only if the
/// client names its media type. The envelope is sent if the header is missing, accepts neither, or
/// has only a wildcard.
pub fn prefers_problem(headers: &HeaderMap) -> bool {
    let values = || headers.get_all(ACCEPT).filter_map(|value| value.to_str().ok());
    let Some(problem) = Accepted::of(PROBLEM, values()) else { return false };
    let envelope = Accepted::of(ENVELOPE, values()).map_or(0, |envelope| envelope.quality);
    problem.quality > envelope || problem.quality == envelope && problem.quality > 0 && problem.is_named
}

/// The most specific range of a client that includes a media type.
struct Accepted {
    /// In thousandths.
    quality: u16,
    /// Whether the range is the type itself.
    is_named: bool,
}

impl Accepted {
    /// Returns `None` if no range includes the type.
    fn of<'a>(media_type: &str, values: impl Iterator<Item = &'a str>) -> Option<Accepted> {
        let ranges = values.flat_map(|value| value.split(',')).filter_map(Range::parse);
        let matching = ranges.filter_map(|range| Some((range.specificity(media_type)?, range.quality)));
        let (specificity, quality) = matching.max()?;
        Some(Accepted { quality, is_named: specificity == Specificity::Named })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Specificity {
    Anything,
    AnySubtype,
    Named,
}

struct Range<'a> {
    name: &'a str,
    /// In thousandths.
    quality: u16,
}

impl Range<'_> {
    /// Ignores parameters other than `q`. Returns `None` if the quality is malformed.
    fn parse(range: &str) -> Option<Range<'_>> {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next()?;
        let quality = parts.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then_some(value.trim())
        });
        Some(Range { name, quality: quality.map_or(Some(1000), thousandths)? })
    }

    /// Returns `None` if the range does not include the type.
    fn specificity(&self, media_type: &str) -> Option<Specificity> {
        if self.name.eq_ignore_ascii_case(media_type) {
            Some(Specificity::Named)
        } else if self.name.eq_ignore_ascii_case("application/*") {
            Some(Specificity::AnySubtype)
        } else {
            (self.name == "*/*").then_some(Specificity::Anything)
        }
    }
}

/// A quality from 0 to 1 has at most three decimals.
fn thousandths(quality: &str) -> Option<u16> {
    let (whole, decimals) = quality.split_once('.').unwrap_or((quality, ""));
    let is_number = decimals.len() <= 3 && decimals.bytes().all(|byte| byte.is_ascii_digit());
    let thousandths = format!("{decimals:0<3}").parse().ok().filter(|_| is_number)?;
    match (whole, thousandths) {
        ("0", thousandths) => Some(thousandths),
        ("1", 0) => Some(1000),
        _ => None,
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
            "application/problem+json ; charset=utf-8",
            "application/problem+json;\tq=0.5",
            "application/problem+json;q=0.5;",
            "application/problem+json;foo",
            "application/problem+json;",
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
            "application/json ; charset=utf-8, application/problem+json;q=0.5",
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
