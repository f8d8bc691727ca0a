//! Calls that must change nothing: hostile bytes, tokens, hosts and pages, and other customers' rows.

mod attacks;
mod cors;
mod hosts;
mod identity;
mod isolation;
pub mod jwt;
mod limits;
mod many_clients;
mod row_limit;
mod smuggling;
