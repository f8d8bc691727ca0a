//! The progress of a command: one line that changes on a terminal, a line now and then elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// The interval between two reports: on a terminal, and elsewhere.
const TERMINAL_PAUSE: Duration = Duration::from_millis(100);
const LINE_PAUSE: Duration = Duration::from_secs(10);

/// Goes to standard error, so that standard output has only the result.
pub struct Progress {
    pub terminal: bool,
    shown: Instant,
}

impl Progress {
    pub fn new() -> Progress {
        Progress { terminal: io::stderr().is_terminal(), shown: Instant::now() }
    }

    /// Shows the text. Unless `at_once`, skips it if the last text was shown a short time ago.
    pub fn show(&mut self, text: &str, at_once: bool) {
        let pause = if self.terminal { TERMINAL_PAUSE } else { LINE_PAUSE };
        if !at_once && self.shown.elapsed() < pause {
            return;
        }
        self.shown = Instant::now();
        let mut output = io::stderr();
        // The command continues if standard error is closed.
        let _ = match self.terminal {
            // The cursor returns to the start of the line, so that other output overwrites it.
            true => write!(output, "\r\x1b[K{text}\r").and_then(|()| output.flush()),
            false => writeln!(output, "{text}"),
        };
    }

    /// Removes the line from a terminal.
    pub fn clear(&self) {
        if self.terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
