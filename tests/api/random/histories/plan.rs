//! The plan of a random history. Its numbers are indexes into the customers, rows and calls that exist when a step runs.

use super::calls::{Form, Wrong};

#[derive(Clone, Debug)]
pub struct Plan {
    pub world: WorldPlan,
    pub steps: Vec<Step>,
}

/// The customers and rows that exist when a history begins.
#[derive(Clone, Debug)]
pub struct WorldPlan {
    /// The parent of each customer, among those before it.
    pub parents: Vec<Option<u8>>,
    /// The customers of the entities, which are subscribers and sell plans alternately.
    pub entities: Vec<u8>,
    pub rows: Vec<RowPlan>,
    /// Products and customers.
    pub allocations: Vec<(u8, u8)>,
    /// Changes by other services before the history begins.
    pub deeds: Vec<DeedPlan>,
}

#[derive(Clone, Copy, Debug)]
pub struct RowPlan {
    pub word: u8,
    pub customer: u8,
    /// The entity that external params are set on.
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

/// A step before a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beforehand {
    Nothing,
    /// The same call, only validated.
    Validation,
}

/// A call that would succeed without the faults that the plan adds.
#[derive(Clone, Debug)]
pub struct CallPlan {
    pub word: u8,
    /// The row that determines the requester and the customer.
    pub row: u8,
    /// If this id is not eligible, it replaces the id of the row.
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

/// A repeated earlier call.
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

/// A call for the status of an earlier call.
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
    /// A cancel. The call has ended, so it has no effect.
    Cancelling,
}

/// The calls of a requester that match all filters, in pages that are reached by tokens.
#[derive(Clone, Copy, Debug)]
pub struct ListPlan {
    /// The requester of this call asks.
    pub call: u8,
    pub by: Who,
    pub size: u8,
    pub failed: Option<bool>,
    /// The filters have the resource and the customer of this call.
    pub like: u8,
    pub with_resource: bool,
    pub with_customer: bool,
    /// The filter has this row, if any.
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

/// A step of one client in a history of many clients.
#[derive(Clone, Debug)]
pub enum ClientStep {
    Call(CallPlan),
    /// A call of this or another client, with the same key.
    Twin(u8),
    /// Such a call, only validated.
    Validation(u8),
    Deed(DeedPlan),
}

/// A small tree that many clients change at the same time: eight send calls, and three act as other services.
#[derive(Clone, Debug)]
pub struct CrowdPlan {
    pub world: WorldPlan,
    pub clients: Vec<Vec<ClientStep>>,
}
