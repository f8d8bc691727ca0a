//! An operation that is leased to an attempt, and its end.

use std::sync::OnceLock;
use std::time::Duration;

use uuid::Uuid;

use crate::eligibility::Refusal;
use crate::error::Code;
use crate::operation::{Deletion, Status};

#[derive(Debug)]
pub struct Leased {
    pub lease_id: Uuid,
    /// The number of attempts, this one included.
    pub attempts: i32,
    pub deletion: Deletion,
    /// The time from the acceptance to this lease.
    pub waited: Duration,
    /// The end that this attempt has asked PostgreSQL to commit.
    pub requested_end: OnceLock<OperationEnd>,
}

#[derive(Clone, Debug)]
pub enum OperationEnd {
    Deleted,
    Refused(Refusal),
    /// Too many attempts failed.
    GivenUp,
}

impl OperationEnd {
    pub fn status(&self) -> Status {
        match self {
            OperationEnd::Deleted => Status::Success,
            OperationEnd::Refused(_) => Status::Failure,
            OperationEnd::GivenUp => Status::InternalError,
        }
    }

    pub fn code(&self) -> Option<Code> {
        match self {
            OperationEnd::Deleted => None,
            OperationEnd::Refused(refusal) => Some(refusal.code),
            OperationEnd::GivenUp => Some(Code::GLOBAL_1001),
        }
    }

    pub fn deleted_rows(&self, deletion: &Deletion) -> usize {
        match self {
            OperationEnd::Deleted => deletion.targets.count(),
            OperationEnd::Refused(_) | OperationEnd::GivenUp => 0,
        }
    }
}
