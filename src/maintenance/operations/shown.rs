//! Operations as they are printed.

use std::fmt;
use std::str::FromStr;

use serde::ser::Error;
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::id_failure;
use crate::maintenance::written;

/// An operation in a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedOperation {
    pub id: Uuid,
    pub requester_id: Uuid,
    pub customer_id: Uuid,
    pub resource: String,
    pub status: String,
    pub error_code: Option<String>,
    /// The number of ids.
    pub ids: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub completed_at: Option<OffsetDateTime>,
    /// The number of times that the queue ran it.
    pub attempts: i32,
}

impl fmt::Display for ListedOperation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ListedOperation { id, requester_id, customer_id, resource, ids, .. } = self;
        let outcome = outcome(&self.status, self.error_code.as_deref());
        write!(formatter, "{id} {outcome}, {ids} {resource} of customer {customer_id}, ")?;
        write!(formatter, "asked for by {requester_id} at {}", written(self.created_at))
    }
}

/// An operation without its idempotency key.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    pub id: Uuid,
    pub requester_id: Uuid,
    pub actor: Option<String>,
    pub customer_id: Uuid,
    pub resource: String,
    pub status: String,
    pub error_code: Option<String>,
    pub target_ids: Vec<Uuid>,
    pub failed_ids: Vec<Uuid>,
    /// The refused ids with their codes, as JSON.
    #[serde(serialize_with = "serialize_failures")]
    pub failures: Option<String>,
    pub deleted_rows: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub completed_at: Option<OffsetDateTime>,
    /// The number of times that the queue ran it.
    pub attempts: i32,
    /// The time from which it can be attempted, while it is queued.
    #[serde(with = "time::serde::rfc3339::option")]
    pub free_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub restored_at: Option<OffsetDateTime>,
}

impl Shown {
    /// Parses one of its words. Fails if only a newer build knows it.
    pub fn parse<T: FromStr>(&self, word: &str) -> Result<T, String> {
        let id = self.id;
        word.parse().map_err(|_| {
            format!("operation {id} has the word `{word}`, which this build does not know; run the newer build")
        })
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "operation {}", self.id)?;
        let times = [
            ("asked for at", Some(self.created_at)),
            ("ended at", self.completed_at),
            ("can start at", self.free_at),
            ("restored at", self.restored_at),
        ];
        let lines = [
            ("status", Some(outcome(&self.status, self.error_code.as_deref()))),
            ("resource", Some(self.resource.clone())),
            ("customer", Some(self.customer_id.to_string())),
            ("requester", Some(self.requester_id.to_string())),
            ("actor", self.actor.clone()),
            ("attempts", Some(self.attempts.to_string())),
            ("deleted rows", Some(self.deleted_rows.to_string())),
        ];
        let times = times.map(|(name, time)| (name, time.map(written)));
        for (name, value) in lines.into_iter().chain(times) {
            if let Some(value) = value {
                write!(formatter, "\n  {name:<13}{value}")?;
            }
        }
        let failures = id_failure::from_json(self.failures.as_deref()).map_err(|_| fmt::Error)?;
        let targets = self.target_ids.iter().map(Uuid::to_string).collect();
        let refused = failures.iter().map(|failure| format!("{} {}", failure.id, failure.error_code)).collect();
        for (name, ids) in [("ids", targets), ("refused ids", refused)] as [(_, Vec<String>); 2] {
            if !ids.is_empty() {
                write!(formatter, "\n  {name:<13}{}", ids.len())?;
            }
            for id in ids {
                write!(formatter, "\n    {id}")?;
            }
        }
        Ok(())
    }
}

fn serialize_failures<S: Serializer>(failures: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    id_failure::from_json(failures.as_deref()).map_err(S::Error::custom)?.serialize(serializer)
}

fn outcome(status: &str, code: Option<&str>) -> String {
    match code {
        Some(code) => format!("{status} {code}"),
        None => status.to_owned(),
    }
}
