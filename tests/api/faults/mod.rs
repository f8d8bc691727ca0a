//! Faults around the service while it is under load. Nothing is lost, and it serves again within 5 seconds.
//!
//! `FAULT_ROUNDS` sets how often each fault is repeated.

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
