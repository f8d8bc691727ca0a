//! Standard output of the commands.

use std::io::{self, Write};

/// Prints a line. A closed output is no error: `println!` would panic.
pub fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}
