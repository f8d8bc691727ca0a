//! The tables of the contract, repeated as literals.

use customer_deletion::resource::Resource;

use super::model::Word;

use crate::support::resources::{Contract, contract, word};

pub fn words() -> [Word; Resource::ALL.len()] {
    Resource::ALL.map(word)
}

pub const NO_CUSTOMER: &str = "CUSTOMER_1002";
pub const ALLOCATED: &str = "CUSTOMER_1046";
pub const CANCELLED: &str = "CANCELLED";
pub const REUSED_KEY: &str = "IDEMPOTENCY_KEY_REUSED";

/// The refusals of a resource.
pub struct Codes {
    /// The depth that the customer of the URL must have.
    pub depth: u32,
    pub elsewhere: &'static str,
    pub unknown: &'static str,
    pub not_theirs: &'static str,
}

fn of(word: Word) -> Contract {
    let contract = Resource::ALL.into_iter().map(contract).find(|contract| contract.word == word);
    contract.unwrap_or_else(|| panic!("`{word}` is not a resource"))
}

pub fn takes_list(word: Word) -> bool {
    of(word).takes_list
}

pub fn codes(word: Word) -> Codes {
    let contract = of(word);
    let (not_yours, unknown) = (contract.not_yours.0, contract.unknown.0);
    Codes { depth: contract.depth, elsewhere: not_yours, unknown, not_theirs: not_yours }
}

/// Each code with its HTTP status, and its message if the contract gives the exact text.
const CODES: [(&str, u16, Option<&str>); 21] = [
    ("CUSTOMER_1002", 404, Some("Customer does not exist")),
    ("AUTH_1010", 404, Some("Contact for your customer was not found")),
    ("AUTH_1011", 404, Some("Address for your customer was not found")),
    ("AUTH_1015", 404, Some("Product was not found for your account")),
    ("CUSTOMER_1017", 404, Some("Unknown Contact ID")),
    ("CUSTOMER_1018", 404, Some("Unknown Address ID")),
    ("CUSTOMER_1026", 404, Some("Failed to delete external params item")),
    ("CUSTOMER_1030", 404, Some("Failed to delete customer zone\\s")),
    (
        "CUSTOMER_1046",
        409,
        Some("Product deletion failure. It is not allowed to delete a product allocated to sub customers"),
    ),
    ("CUSTOMER_1047", 404, Some("Unknown product id")),
    ("GLOBAL_1001", 503, Some("Service unavailable. Please try again")),
    ("GLOBAL_1003", 404, Some("Provided request ID does not exist for your account.")),
    ("BAD_REQUEST", 400, None),
    ("UNAUTHORIZED", 401, None),
    ("NOT_FOUND", 404, None),
    ("METHOD_NOT_ALLOWED", 405, None),
    ("PAYLOAD_TOO_LARGE", 413, None),
    ("UNSUPPORTED_MEDIA_TYPE", 415, None),
    ("IDEMPOTENCY_KEY_REUSED", 422, None),
    ("CANCELLED", 409, Some("The call was cancelled before it was executed.")),
    ("NOT_CANCELLABLE", 409, Some("The call is being executed or has ended, and cannot be cancelled.")),
];

/// The row of a code in the table of answers. Returns `None` for a code that is not in the contract.
pub fn row_of(code: &str) -> Option<(&'static str, u16, Option<&'static str>)> {
    CODES.into_iter().find(|row| row.0 == code)
}
