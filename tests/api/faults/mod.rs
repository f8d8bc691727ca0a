//! What breaks around the service while it is under load. Nothing is lost by it, and it serves again within 5 seconds.
//!
//! `FAULT_ROUNDS` repeats each fault as often as it says.

pub mod audit;
pub mod follow;
pub mod load;
pub mod work;

mod clients;
mod cluster;
mod crash;
mod failover;
pub mod injected;
mod network;
mod rows;
mod server;
mod service;
mod trial;
