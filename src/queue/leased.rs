//! An operation that is leased to an attempt, and its end.

use std::sync::OnceLock;
use std::time::Duration;

use uuid::Uuid;

use crate::eligibility::Refusal;
use crate::error::Code;
use crate::operation::{Deletion, Status};

#[derive(Debug)]
pub struct Leased {
    pub attempt: Uuid,
    /// The number of attempts, this one included.
    pub attempts: i32,
    pub deletion: Deletion,
    /// The time from the acceptance to this lease.
    pub waited: Duration,
    /// The end that this attempt has asked PostgreSQL to commit.
    pub requested_end: OnceLock<End>,
}

#[derive(Clone, Debug)]
pub enum End {
    Deleted,
    Refused(Refusal),
    /// Too many attempts failed.
    GivenUp,
}

impl End {
    pub fn status(&self) -> Status {
        match self {
            End::Deleted => Status::Success,
            End::Refused(_) => Status::Failure,
            End::GivenUp => Status::InternalError,
        }
    }

    pub fn code(&self) -> Option<Code> {
        match self {
            End::Deleted => None,
            End::Refused(refusal) => Some(refusal.code),
            End::GivenUp => Some(Code::GLOBAL_1001),
        }
    }

    pub fn deleted_rows(&self, deletion: &Deletion) -> usize {
        match self {
            End::Deleted => deletion.targets.count(),
            End::Refused(_) | End::GivenUp => 0,
        }
    }
}
