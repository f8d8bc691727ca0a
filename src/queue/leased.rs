//! An operation that is leased to an attempt.

use std::sync::OnceLock;
use std::time::Duration;

use uuid::Uuid;

use super::end::End;
use crate::operation::Deletion;

#[derive(Debug)]
pub struct Leased {
    pub lease: Lease,
    pub deletion: Deletion,
    /// From the acceptance to this lease.
    pub waited: Duration,
    /// The end that this attempt has asked PostgreSQL to commit.
    pub requested_end: OnceLock<End>,
}

#[derive(Clone, Copy, Debug)]
pub struct Lease {
    pub attempt: Uuid,
    /// The number of attempts, this one included.
    pub attempts: i32,
}
