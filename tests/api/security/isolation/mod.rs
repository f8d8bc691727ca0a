//! The rows that each requester may delete: every position of a requester, every resource, and every form of a call.

mod alike;
mod matrix;
mod position;
