//! An error at every statement, and at every row of it: nothing is left behind, what passes is tried again at most twice and
//! everything else never, and the answer is the documented one.

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

/// What passes by itself, and is tried again.
const PASSING: [&str; 10] = ["25006", "25P03", "25P04", "40001", "40P01", "57P01", "57P02", "57P03", "57P04", "57P05"];

/// The database is away, full, too slow, or does not permit it; that does not pass in a moment.
const UNAVAILABLE: [&str; 11] =
    ["08006", "26000", "28000", "3D000", "42501", "53100", "53200", "53300", "55P03", "57014", "58030"];

/// Nothing that the caller or time can mend.
const DEFECTS: [&str; 15] = [
    "0A000", "21000", "22003", "22012", "22P02", "23001", "23502", "23503", "23505", "23514", "42P01", "55000",
    "P0001", "XX000", "XX001",
];

/// Which codes of a class meet which places.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pairs {
    /// One code at one place. Unit tests have the class of every code.
    One,
    /// Each code at each place.
    All,
}

impl Pairs {
    /// The codes that are tried. Another `turn` takes another one.
    fn codes(self, class: &[&'static str], turn: usize) -> Vec<&'static str> {
        match self {
            Pairs::One => vec![class[turn % class.len()]],
            Pairs::All => class.to_vec(),
        }
    }

    /// The places that a code meets. Another `turn` takes another one.
    fn places<Place: Clone>(self, places: &[Place], turn: usize) -> Vec<Place> {
        match self {
            Pairs::One => vec![places[turn % places.len()].clone()],
            Pairs::All => places.to_vec(),
        }
    }
}

const UNAVAILABLE_TEXT: &str = "Service unavailable. Please try again";
