//! A deletion call, and its record: the operation.

use std::fmt;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::closed_set::{Stored, closed_set};
use crate::eligibility::Refusal;
use crate::error::Code;
use crate::id_failure::IdFailure;
use crate::resource::Resource;

/// A well-formed call, ready to be tried or queued.
#[derive(Clone, Debug)]
pub struct Deletion {
    /// The operation's id, which is the `requestId` of the answer.
    pub operation_id: Uuid,
    /// The customer for whom the call is authenticated.
    pub requester_id: Uuid,
    /// The customer of the URL.
    pub customer_id: Uuid,
    pub resource: Resource,
    pub targets: TargetIds,
    pub idempotency_key: Option<IdempotencyKey>,
    /// The user for whom the requester calls. `None` if it is not named, or not recorded.
    pub actor: Option<Actor>,
}

/// One or more distinct ids, in ascending order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetIds(Vec<Uuid>);

impl TargetIds {
    /// Removes duplicates. Returns `None` if `ids` is empty.
    pub fn new(mut ids: Vec<Uuid>) -> Option<TargetIds> {
        ids.sort_unstable();
        ids.dedup();
        (!ids.is_empty()).then_some(TargetIds(ids))
    }

    pub fn one(id: Uuid) -> TargetIds {
        TargetIds(vec![id])
    }

    pub fn as_slice(&self) -> &[Uuid] {
        &self.0
    }

    /// Never 0.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// 1 to 255 visible ASCII characters, chosen by the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Returns `None` if the text is not an idempotency key.
    pub fn new(text: &str) -> Option<IdempotencyKey> {
        let is_key = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_key.then(|| IdempotencyKey(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// 1 to 255 printable ASCII characters, with no space at either end. It is personal data, so its
/// `Debug` output does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Actor(String);

impl Actor {
    /// Returns `None` if the text is not an actor.
    pub fn new(text: &str) -> Option<Actor> {
        let is_printable = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        let is_actor = is_printable && text.trim_ascii() == text && (1..=255).contains(&text.len());
        is_actor.then(|| Actor(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Actor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Actor")
    }
}

closed_set! {
    /// Only `Open` can still change.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Status {
        /// Queued, or being executed.
        Open = "OPEN",
        Success = "SUCCESS",
        /// A documented rule said no, or the operation was cancelled, or its key was reused.
        Failure = "FAILURE",
        InternalError = "INTERNAL_ERROR",
    }
}

/// A recorded call.
#[derive(Clone, Debug)]
pub struct Operation {
    pub id: Uuid,
    pub actor: Option<String>,
    pub customer_id: Uuid,
    pub resource: Stored<Resource>,
    pub status: Stored<Status>,
    /// The code of a refusal, a cancellation or an internal error.
    pub error_code: Option<Stored<Code>>,
    pub created_at: OffsetDateTime,
    /// `None` while the operation is open.
    pub completed_at: Option<OffsetDateTime>,
}

/// An operation with its `failed_ids`, which a list of operations leaves out.
#[derive(Clone, Debug)]
pub struct Details {
    pub operation: Operation,
    /// The ids that the first failing rule refused.
    pub failed_ids: Vec<Uuid>,
    /// The ids that any rule refused.
    pub failures: Vec<IdFailure>,
    /// The number of deleted rows: the number of ids, or 0.
    pub deleted_rows: u32,
    /// The number of times that the queue ran it. 0 for a call that was executed at once.
    pub attempts: u32,
    /// The time at which all of its rows were restored. `None` if they were not.
    pub restored_at: Option<OffsetDateTime>,
    /// The number of its ids. 0 unless it was read with [`View::Full`].
    pub target_count: usize,
}

/// How much of an operation is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The operation and its `deleted_rows`. The other fields are empty or 0.
    Status,
    /// Every field but `target_count`.
    Details,
    /// Every field.
    Full,
}

/// The filters of a list of operations. A filter that is `None` excludes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    pub requester_id: Uuid,
    pub status: Option<Status>,
    pub resource: Option<Resource>,
    pub customer_id: Option<Uuid>,
    /// The row that the operation deleted.
    pub target_id: Option<Uuid>,
    /// At this time or later.
    pub created_from: Option<OffsetDateTime>,
    /// Before this time.
    pub created_before: Option<OffsetDateTime>,
}

/// The position of an operation in a list ordered by time, then id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub created_at: OffsetDateTime,
    pub id: Uuid,
}

/// Selects a page of a requester's operations, newest first.
#[derive(Clone, Copy, Debug)]
pub struct PageQuery {
    pub filters: Filters,
    /// The last operation of the page before.
    pub after: Option<Position>,
    /// The number of newer operations to skip.
    pub offset: u32,
    pub size: u32,
    /// The number of operations at which the counting stops.
    pub count_limit: u32,
}

impl PageQuery {
    /// The maximum number of operations that are counted. Only pages within it have numbers.
    pub const FARTHEST: u32 = 10_000;

    /// The exclusive upper bound of the page, or `None`.
    pub fn before(&self) -> Option<Position> {
        // No operation of this time is before one with the lowest id.
        let time = self.filters.created_before.map(|created_at| Position { created_at, id: Uuid::nil() });
        [self.after, time].into_iter().flatten().min()
    }
}

/// One page, and the length of the whole list.
#[derive(Clone, Debug)]
pub struct OperationPage {
    pub operations: Vec<Operation>,
    /// Whether older operations follow.
    pub has_more: bool,
    /// At most [`PageQuery::count_limit`].
    pub total: u32,
}

/// The result of a deletion call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The call's own operation, or that of the earlier call if this is a replay.
    pub operation_id: Uuid,
    /// The code of the refusal. `None` if every row is deleted.
    pub refusal: Option<Stored<Code>>,
    /// The ids that any rule refused.
    pub failures: Vec<IdFailure>,
    /// Whether this is the recorded answer to an earlier call under the same idempotency key.
    pub replayed: bool,
}

impl Outcome {
    /// The outcome of the call's own operation.
    pub fn own(deletion: &Deletion, refusal: Option<Code>) -> Outcome {
        let (refusal, failures) = (refusal.map(Stored::Known), Vec::new());
        Outcome { operation_id: deletion.operation_id, refusal, failures, replayed: false }
    }

    /// The outcome of the call's own operation, which a rule refuses.
    pub fn refused(deletion: &Deletion, refusal: Refusal) -> Outcome {
        Outcome { failures: refusal.failures, ..Outcome::own(deletion, Some(refusal.code)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_has_1_to_255_printable_characters() {
        let longest = "x".repeat(255);
        for text in ["a", "auth0|507f1f77", "Jane Doe <jane@example.com>", "~!", &longest] {
            assert_eq!(Actor::new(text).unwrap().as_str(), text);
        }
        let too_long = "x".repeat(256);
        for text in ["", " ", " a", "a ", "a\tb", "a\nb", "a\0", "\u{7f}", "J\u{fc}rgen", &too_long] {
            assert!(Actor::new(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn an_actor_is_not_shown_by_its_debug_output() {
        let actor = Actor::new("jane").unwrap();
        assert_eq!(format!("{actor:?}"), "Actor");
    }
}
