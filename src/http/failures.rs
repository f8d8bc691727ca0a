//! The ids that a refused call could not delete, as a caller reads them.

use std::borrow::Cow;

use serde::Serialize;
use uuid::Uuid;

use crate::id_failure::IdFailure;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailureContent {
    id: Uuid,
    error_code: Cow<'static, str>,
    error_message: &'static str,
    /// The member is left out unless the id is that of an allocated product.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allocations: Vec<Allocation>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Allocation {
    customer_id: Uuid,
}

impl From<IdFailure> for FailureContent {
    fn from(failure: IdFailure) -> FailureContent {
        let error_message = failure.message();
        let allocations = failure.allocations.into_iter().map(|customer_id| Allocation { customer_id }).collect();
        FailureContent { id: failure.id, error_code: failure.error_code, error_message, allocations }
    }
}
