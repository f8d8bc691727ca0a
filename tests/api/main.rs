//! The service as its users meet it: the real server on a port of its own, a real PostgreSQL, calls over HTTP.

mod support;

mod crash;
mod docs;
mod health;
mod history;
mod idempotency;
mod identity;
mod jwt;
mod limits;
mod log_lines;
mod metrics;
mod openapi;
mod operations;
mod outages;
mod publication;
mod races;
mod refusals;
mod roles;
mod schema;
mod shapes;
mod smuggling;
mod start;
mod statements;
mod successes;
mod traces;
