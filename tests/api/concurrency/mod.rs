//! Calls that meet: on the same rows, in shared statements, and in the queue.

pub mod queued;
mod races;
mod sharing;
