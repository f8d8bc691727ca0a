//! Standard output of the commands.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;

/// Prints a line. A closed output is no error: `println!` would panic.
pub fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Prints a result, as text or as a line of JSON.
pub fn report(as_json: bool, json: impl Serialize, text: impl Display) {
    say(&if as_json { serde_json::json!(json).to_string() } else { text.to_string() });
}

/// One line for each element, or the text for an empty list.
pub fn lines<T: Display>(list: &[T], empty: &str) -> String {
    let lines: Vec<String> = list.iter().map(T::to_string).collect();
    if lines.is_empty() { empty.to_owned() } else { lines.join("\n") }
}
