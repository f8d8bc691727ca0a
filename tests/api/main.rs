//! The service as its users meet it: the real server on a port of its own, a real PostgreSQL, calls over HTTP.

/// Shared by the tests: servers, databases, services, customers.
mod support;

/// Concurrent calls: on the same rows, in shared statements, and in the queue.
mod concurrency;
/// The contract with callers: the documented calls, answers, refusals, records and pages.
mod contract;
/// The database as DBAs meet it: schema, roles, statements, migrations, restore, purge, history and events.
mod dba;
/// Faults around the service and inside it: nothing is lost, and it serves again.
mod faults;
/// The service as operators run it: start, health, logs, metrics, traces, outages, replicas and poolers.
mod operating;
/// Random calls and histories, against a model of the contract.
mod random;
/// Calls that must change nothing: hostile bytes, tokens, hosts and pages, and other customers' rows.
mod security;
