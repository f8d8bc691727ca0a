//! The settings of the connection to PostgreSQL: accepted forms, settings that stop the start, and reported failures.

mod addresses;
mod causes;
mod refusals;
mod secrets;
