//! An id that a rule refuses. It is stored with the operation, as JSON, and shown to its requester.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Code, UNKNOWN_CODE};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IdFailure {
    pub id: Uuid,
    /// The code of the first rule that refuses the id. A newer build may have stored one that this
    /// build does not know.
    pub error_code: Cow<'static, str>,
    /// The customers to which the product is allocated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allocations: Vec<Uuid>,
}

impl IdFailure {
    pub fn new(id: Uuid, code: Code) -> IdFailure {
        IdFailure { id, error_code: Cow::Borrowed(code.word()), allocations: Vec::new() }
    }

    pub fn message(&self) -> &'static str {
        self.error_code.parse().map_or(UNKNOWN_CODE, Code::message)
    }
}

/// Returns `None` if no rule refuses an id. A success then stores nothing.
pub fn to_json(failures: &[IdFailure]) -> Option<String> {
    (!failures.is_empty()).then(|| serde_json::to_string(failures).expect("failures are JSON"))
}

pub fn from_json(stored: Option<&str>) -> Result<Vec<IdFailure>, serde_json::Error> {
    stored.map_or(Ok(Vec::new()), serde_json::from_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_read_as_they_were_stored() {
        let allocated =
            IdFailure { allocations: vec![Uuid::from_u128(3)], ..IdFailure::new(Uuid::nil(), Code::CUSTOMER_1046) };
        for failures in [vec![], vec![IdFailure::new(Uuid::from_u128(7), Code::CUSTOMER_1017), allocated]] {
            assert_eq!(from_json(to_json(&failures).as_deref()).unwrap(), failures);
        }
        assert_eq!(to_json(&[]), None);
    }

    #[test]
    fn a_newer_build_may_have_stored_more() {
        let stored =
            r#"[{"id": "00000000-0000-0000-0000-000000000007", "errorCode": "CUSTOMER_1099", "remedy": "none"}]"#;
        let failures = from_json(Some(stored)).unwrap();
        assert_eq!(failures[0].error_code, "CUSTOMER_1099");
        assert_eq!(failures[0].message(), "A newer version of the service refused the call.");
    }
}
