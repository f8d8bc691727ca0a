//! The SQLSTATEs of PostgreSQL's errors.

use std::borrow::Cow;

/// A lock timeout and a deadlock: another session holds a lock that the statement needs.
pub const LOCKED: [&str; 2] = ["55P03", "40P01"];

/// Returns `None` if PostgreSQL did not answer, for example because the connection broke.
pub fn sqlstate(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error().and_then(|error| error.code())
}

pub fn is_one_of(error: &sqlx::Error, states: &[&str]) -> bool {
    sqlstate(error).is_some_and(|state| states.contains(&&*state))
}

/// A class is the first two characters.
pub fn is_in_class(error: &sqlx::Error, classes: &[&str]) -> bool {
    sqlstate(error).is_some_and(|state| classes.iter().any(|class| state.starts_with(class)))
}
