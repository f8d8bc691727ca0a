//! The way to PostgreSQL, as operators set it: which forms are read, what stops the start, what is told when it fails.

mod addresses;
mod causes;
mod refusals;
mod secrets;
