//! An error at every statement, and at every row of it. Nothing is left behind, a transient error is retried at most twice and
//! no other error is, and the answer is the documented one.

mod acceptance;
mod cancel;
mod constraints;
mod deletion;
pub mod injector;
mod lost_answer;
mod lost_later;
mod operation;
mod refusal;
mod validation;

/// Transient errors, which are retried.
const PASSING: [&str; 10] = ["25006", "25P03", "25P04", "40001", "40P01", "57P01", "57P02", "57P03", "57P04", "57P05"];

/// The database is away, full, too slow, or does not permit it. That lasts longer than a moment.
const UNAVAILABLE: [&str; 11] =
    ["08006", "26000", "28000", "3D000", "42501", "53100", "53200", "53300", "55P03", "57014", "58030"];

/// Errors that neither the caller nor time can correct.
const DEFECTS: [&str; 15] = [
    "0A000", "21000", "22003", "22012", "22P02", "23001", "23502", "23503", "23505", "23514", "42P01", "55000",
    "P0001", "XX000", "XX001",
];

/// The pairs of codes and steps to test.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pairs {
    /// One code at one step. Unit tests have the class of every code.
    One,
    /// Each code at each step.
    All,
}

impl Pairs {
    /// The codes to test. Another `index` selects another one.
    fn codes(self, class: &[&'static str], index: usize) -> Vec<&'static str> {
        match self {
            Pairs::One => vec![class[index % class.len()]],
            Pairs::All => class.to_vec(),
        }
    }

    /// The steps that a code meets. Another `index` selects another one.
    fn steps<Step: Clone>(self, steps: &[Step], index: usize) -> Vec<Step> {
        match self {
            Pairs::One => vec![steps[index % steps.len()].clone()],
            Pairs::All => steps.to_vec(),
        }
    }
}

const UNAVAILABLE_TEXT: &str = "Service unavailable. Please try again";
