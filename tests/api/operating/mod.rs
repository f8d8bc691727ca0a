//! The service in operation: start, health, logs, metrics, traces, outages, replicas and poolers.

mod commits;
mod connection;
mod demo;
mod growing;
mod health;
mod log_lines;
mod metrics;
mod outages;
mod silent_connections;
mod soak;
mod start;
mod time_limits;
mod traces;
