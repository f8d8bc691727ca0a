//! The tables of the contract, once more, as literals.

use super::model::Word;

pub const WORDS: [Word; 5] = ["contact", "address", "external-params", "zone", "product"];

pub const NO_CUSTOMER: &str = "CUSTOMER_1002";
pub const ALLOCATED: &str = "CUSTOMER_1046";
pub const REUSED_KEY: &str = "IDEMPOTENCY_KEY_REUSED";

/// The refusals of a resource.
pub struct Codes {
    /// Where the customer of the URL must be.
    pub depth: u32,
    pub elsewhere: &'static str,
    pub unknown: &'static str,
    pub not_theirs: &'static str,
}

pub fn codes(word: Word) -> Codes {
    let (depth, elsewhere, unknown, not_theirs) = match word {
        "contact" => (1, "AUTH_1010", "CUSTOMER_1017", "AUTH_1010"),
        "address" => (1, "AUTH_1011", "CUSTOMER_1018", "AUTH_1011"),
        "external-params" => (0, "CUSTOMER_1026", "CUSTOMER_1026", "CUSTOMER_1026"),
        "zone" => (0, "CUSTOMER_1030", "CUSTOMER_1030", "CUSTOMER_1030"),
        "product" => (0, "AUTH_1015", "CUSTOMER_1047", "AUTH_1015"),
        _ => panic!("`{word}` is not a resource"),
    };
    Codes { depth, elsewhere, unknown, not_theirs }
}

/// Each code with its HTTP status, and its message where the contract has one to the letter.
const CODES: [(&str, u16, Option<&str>); 19] = [
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
];

/// The row of a code in the table of answers. None for a code that is not the contract's.
pub fn row_of(code: &str) -> Option<(&'static str, u16, Option<&'static str>)> {
    CODES.into_iter().find(|row| row.0 == code)
}
