//! The service as its users meet it: the real server on a port of its own, a real PostgreSQL, calls over HTTP.

mod support;

mod crash;
mod docs;
mod health;
mod idempotency;
mod identity;
mod jwt;
mod limits;
mod log_lines;
mod metrics;
mod openapi;
mod operations;
mod outages;
mod races;
mod refusals;
mod schema;
mod shapes;
mod sharing;
mod smuggling;
mod start;
mod statements;
mod successes;
mod traces;
