//! What a caller sends and is answered: the documented calls, refusals, records and pages.

mod actor;
mod details;
mod docs;
mod failures;
mod headers;
mod idempotency;
mod listing;
mod openapi;
mod operations;
mod problems;
mod refusals;
mod shapes;
mod successes;
mod trailing_slash;
mod validation;
