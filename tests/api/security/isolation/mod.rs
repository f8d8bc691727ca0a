//! Who may delete whose rows: every position of a requester, every resource, every shape of a call.

mod alike;
mod matrix;
mod position;
