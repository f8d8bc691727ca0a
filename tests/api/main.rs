//! The service as its users meet it: the real server on a port of its own, a real PostgreSQL, calls over HTTP.

mod support;

mod crash;
mod docs;
mod faults;
mod fuzz;
mod growing;
mod health;
mod histories;
mod history;
mod idempotency;
mod identity;
mod injected;
mod isolation;
mod jwt;
mod limits;
mod live;
mod log_lines;
mod maintenance;
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
mod sharing;
mod smuggling;
mod soak;
mod start;
mod statements;
mod successes;
mod traces;
