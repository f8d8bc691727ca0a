//! An error at every statement, and at every row of it: nothing is left behind, what passes is tried again at most twice and
//! everything else never, and the answer is the documented one.

mod acceptance;
mod constraints;
mod deletion;
mod injector;
mod lost_answer;
mod lost_later;
mod operation;
mod refusal;
mod validation;

/// What passes by itself, and is tried again.
const PASSING: [&str; 9] = ["25006", "25P03", "25P04", "40001", "40P01", "57P01", "57P02", "57P03", "57P05"];

/// The database is away, full, too slow, or does not permit it; that does not pass in a moment.
const UNAVAILABLE: [&str; 11] =
    ["08006", "26000", "28000", "3D000", "42501", "53100", "53200", "53300", "55P03", "57014", "58030"];

/// Nothing that the caller or time can mend.
const DEFECTS: [&str; 15] = [
    "0A000", "21000", "22003", "22012", "22P02", "23001", "23502", "23503", "23505", "23514", "42P01", "55000",
    "P0001", "XX000", "XX001",
];

/// Which codes meet which places.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pairs {
    /// Each code at one of the places.
    Some,
    /// Each code at each place.
    All,
}

impl Pairs {
    /// Whether the code with this number meets the place with this number.
    fn meet(self, code: usize, place: usize, places: usize) -> bool {
        self == Pairs::All || code % places == place
    }

    /// The codes that meet the place with this number.
    fn codes(self, codes: &[&'static str], place: usize, places: usize) -> Vec<&'static str> {
        let codes = codes.iter().enumerate().filter(|(code, _)| self.meet(*code, place, places));
        codes.map(|(_, sqlstate)| *sqlstate).collect()
    }
}

const UNAVAILABLE_TEXT: &str = "Service unavailable. Please try again";
