//! What a random history is made of. Numbers stand for customers, rows and calls: whatever there is then is counted through.

use super::calls::{Form, Wrong};

#[derive(Clone, Debug)]
pub struct Plan {
    pub world: WorldPlan,
    pub steps: Vec<Step>,
}

/// What is there when a history begins.
#[derive(Clone, Debug)]
pub struct WorldPlan {
    /// The parent of each customer, among those before it.
    pub parents: Vec<Option<u8>>,
    /// The customers of subscribers and sell plans, in turn.
    pub entities: Vec<u8>,
    pub rows: Vec<RowPlan>,
    /// Products and customers.
    pub allocations: Vec<(u8, u8)>,
    /// What other services have done to all that already.
    pub deeds: Vec<DeedPlan>,
}

#[derive(Clone, Copy, Debug)]
pub struct RowPlan {
    pub word: u8,
    pub customer: u8,
    /// What external params are set on.
    pub set_on: (SetOnPlan, u8),
    pub name: u8,
}

#[derive(Clone, Copy, Debug)]
pub enum SetOnPlan {
    OwnSubCustomer,
    OwnEntity,
    AnyCustomer,
    AnyEntity,
}

#[derive(Clone, Debug)]
pub enum Step {
    Call(CallPlan, Beforehand),
    Repeat(RepeatPlan, Beforehand),
    Ask(AskPlan),
    List(ListPlan),
    Deed(DeedPlan),
}

/// What comes before a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beforehand {
    Nothing,
    /// The same call, only validated.
    Validation,
}

/// A call that would succeed, but for what is twisted in it.
#[derive(Clone, Debug)]
pub struct CallPlan {
    pub word: u8,
    /// Who calls, and for whom, goes by this row.
    pub row: u8,
    /// Where this is no eligible id, it stands in the place of the row's.
    pub first: (Other, u8),
    pub others: Vec<(Other, u8)>,
    pub requester: Who,
    pub customer: Who,
    pub form: FormPlan,
    pub key: Option<u8>,
    /// Whether the caller does not wait.
    pub later: bool,
    /// Whether it cancels the call at once, if it does not wait.
    pub cancel: bool,
}

/// Another id of a list.
#[derive(Clone, Copy, Debug)]
pub enum Other {
    Eligible,
    SameResource,
    AnotherResource,
    Unknown,
}

#[derive(Clone, Copy, Debug)]
pub enum Who {
    Right,
    Any(u8),
    Unknown,
}

#[derive(Clone, Copy, Debug)]
pub enum FormPlan {
    Url(&'static str),
    List(Form),
    Wrong(Wrong),
}

/// An earlier call once more.
#[derive(Clone, Copy, Debug)]
pub struct RepeatPlan {
    pub call: u8,
    pub form: FormPlan,
    pub twist: Twist,
    pub later: bool,
}

#[derive(Clone, Copy, Debug)]
pub enum Twist {
    None,
    NoKey,
    OtherKey(u8),
    OtherRequester(u8),
    OtherCustomer(u8),
    OneIdLess,
}

/// The status of an earlier call.
#[derive(Clone, Copy, Debug)]
pub struct AskPlan {
    pub call: u8,
    pub by: Who,
    pub how: Asking,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    Status,
    Details,
    Full,
    /// The call has ended, so that nothing is cancelled.
    Cancelling,
}

/// The calls of a requester that match all filters, in pages that follow tokens.
#[derive(Clone, Copy, Debug)]
pub struct ListPlan {
    /// Its requester asks.
    pub call: u8,
    pub by: Who,
    pub size: u8,
    pub failed: Option<bool>,
    /// The resource and the customer are those of this call.
    pub like: u8,
    pub with_resource: bool,
    pub with_customer: bool,
    /// A row.
    pub target: Option<u8>,
}

#[derive(Clone, Copy, Debug)]
pub struct DeedPlan {
    pub kind: DeedKind,
    pub one: u8,
    pub other: u8,
    pub row: RowPlan,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeedKind {
    Allocate,
    Detach,
    Attach,
    ReParent,
    DeleteCustomer,
    Delete,
    Move,
    DeleteEntity,
    MoveEntity,
    SetOn,
    Insert,
    InsertCustomer,
    InsertEntity,
}

/// What one client does in a history of many clients.
#[derive(Clone, Debug)]
pub enum ClientStep {
    Call(CallPlan),
    /// A call of this or another client, with the same key.
    Twin(u8),
    /// Such a call, only validated.
    Validation(u8),
    Deed(DeedPlan),
}

/// A small tree that many clients work on at once: eight send calls, and three do what other services do.
#[derive(Clone, Debug)]
pub struct CrowdPlan {
    pub world: WorldPlan,
    pub clients: Vec<Vec<ClientStep>>,
}
