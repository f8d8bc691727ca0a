//! The parameters of a query. Parameters with other names are ignored.

use std::str::FromStr;

use actix_web::web::Query;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime, UtcOffset};
use uuid::Uuid;

use super::id::parse_id;
use crate::error::Error;

pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub fn parse(query: &str) -> Result<Parameters, Error> {
        let pairs = Query::<Vec<(String, String)>>::from_query(query);
        let pairs = pairs.map_err(|_| Error::bad_request("the query cannot be read"))?;
        Ok(Parameters(pairs.into_inner()))
    }

    /// Returns `None` if the parameter is missing.
    pub fn one(&self, name: &str) -> Result<Option<&str>, Error> {
        let mut values = self.0.iter().filter(|(sent, _)| sent == name).map(|(_, value)| value.as_str());
        let value = values.next();
        match values.next() {
            Some(_) => Err(Error::bad_request(format!("{name} in the query was sent twice"))),
            None => Ok(value),
        }
    }

    pub fn word<T: FromStr>(&self, name: &str, words: &[&str]) -> Result<Option<T>, Error> {
        let parsed = self.one(name)?.map(str::parse).transpose();
        parsed.map_err(|_| Error::bad_request(format!("{name} in the query must be one of {}", words.join(", "))))
    }

    /// Returns false if the parameter is missing.
    pub fn flag(&self, name: &str) -> Result<bool, Error> {
        let parsed = self.one(name)?.map_or(Ok(false), str::parse);
        parsed.map_err(|_| Error::bad_request(format!("{name} in the query must be true or false")))
    }

    pub fn number(&self, name: &str, least: u32, most: u32) -> Result<Option<u32>, Error> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        // `parse` accepts a sign.
        let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        let number = number.filter(|number| (least..=most).contains(number));
        let refuse =
            || Error::bad_request(format!("{name} in the query must be a whole number from {least} to {most}"));
        number.map(Some).ok_or_else(refuse)
    }

    /// The time in UTC, rounded up to whole microseconds. Recorded times have whole microseconds,
    /// so comparisons stay exact.
    pub fn time(&self, name: &str) -> Result<Option<OffsetDateTime>, Error> {
        let refuse = || {
            let example = "like 2026-01-01T12:00:00Z, with + as %2B";
            Error::bad_request(format!("{name} in the query must be a time of RFC 3339, {example}"))
        };
        let parse = |text| {
            let time = OffsetDateTime::parse(text, &Rfc3339).ok()?.checked_to_offset(UtcOffset::UTC)?;
            // RFC 3339 has only the years 0 to 9999.
            let time = time.checked_add(Duration::nanoseconds(i64::from((1000 - time.nanosecond() % 1000) % 1000)))?;
            (0..=9999).contains(&time.year()).then_some(time)
        };
        self.one(name)?.map(|text| parse(text).ok_or_else(refuse)).transpose()
    }

    pub fn id(&self, name: &str) -> Result<Option<Uuid>, Error> {
        let refuse = || Error::bad_request(format!("{name} in the query is not a UUID"));
        self.one(name)?.map(|text| parse_id(text).ok_or_else(refuse)).transpose()
    }
}
