//! The end of an accepted operation.

use uuid::Uuid;

use crate::eligibility::Refusal;
use crate::error::Code;
use crate::id_failure::IdFailure;
use crate::operation::{Deletion, Status};

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

    pub fn failed_ids(&self) -> &[Uuid] {
        match self {
            End::Refused(refusal) => &refusal.failed_ids,
            End::Deleted | End::GivenUp => &[],
        }
    }

    pub fn failures(&self) -> &[IdFailure] {
        match self {
            End::Refused(refusal) => &refusal.failures,
            End::Deleted | End::GivenUp => &[],
        }
    }

    pub fn deleted_rows(&self, deletion: &Deletion) -> usize {
        match self {
            End::Deleted => deletion.targets.count(),
            End::Refused(_) | End::GivenUp => 0,
        }
    }
}
