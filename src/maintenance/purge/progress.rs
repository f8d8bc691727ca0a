//! The progress of a purge: a bar on a terminal, a line now and then elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// The interval between two reports: on a terminal, and elsewhere.
const BAR_PAUSE: Duration = Duration::from_millis(100);
const LINE_PAUSE: Duration = Duration::from_secs(10);

const BAR_WIDTH: usize = 30;

/// Goes to standard error, so that standard output has only the result.
pub struct Progress {
    terminal: bool,
    /// The word after the number of rows: erased, or to erase.
    verb: &'static str,
    doing: &'static str,
    shown: Instant,
}

impl Progress {
    pub fn new(dry_run: bool) -> Progress {
        let verb = if dry_run { "to erase" } else { "erased" };
        Progress { terminal: io::stderr().is_terminal(), verb, doing: "", shown: Instant::now() }
    }

    /// Prints a line of its own.
    pub fn tell(&self, line: &str) {
        let _ = writeln!(io::stderr(), "{line}");
    }

    /// Starts the next table.
    pub fn begin(&mut self, doing: &'static str) {
        self.doing = doing;
        self.show(0.0, 0, Duration::ZERO);
    }

    /// Reports the share that is done, from 0 to 1, and the number of rows erased in all.
    pub fn at(&mut self, done: f64, erased: u64) {
        self.show(done, erased, if self.terminal { BAR_PAUSE } else { LINE_PAUSE });
    }

    /// Ends the table.
    pub fn end(&mut self, erased: u64) {
        self.show(1.0, erased, Duration::ZERO);
    }

    /// Removes the bar before the result is printed.
    pub fn clear(&self) {
        if self.terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    fn show(&mut self, done: f64, erased: u64, pause: Duration) {
        if self.shown.elapsed() < pause {
            return;
        }
        self.shown = Instant::now();
        let mut output = io::stderr();
        // The purge continues if standard error is closed.
        let _ = match self.terminal {
            true => {
                write!(output, "\r\x1b[K{}", bar(self.doing, done, erased, self.verb)).and_then(|()| output.flush())
            }
            false => writeln!(output, "{}", line(self.doing, done, erased, self.verb)),
        };
    }
}

fn bar(doing: &str, done: f64, rows: u64, verb: &str) -> String {
    let full = ((done.clamp(0.0, 1.0) * BAR_WIDTH as f64) as usize).min(BAR_WIDTH);
    let (full, empty) = ("#".repeat(full), ".".repeat(BAR_WIDTH - full));
    format!("{doing:<16}[{full}{empty}] {:>3} %  {rows} {verb}", percent(done))
}

fn line(doing: &str, done: f64, rows: u64, verb: &str) -> String {
    format!("{doing}: {} % gone through, {rows} {verb} in all", percent(done))
}

fn percent(done: f64) -> u8 {
    (done.clamp(0.0, 1.0) * 100.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_and_fits_a_narrow_terminal() {
        assert_eq!(
            bar("contact", 0.0, 0, "erased"),
            "contact         [..............................]   0 %  0 erased"
        );
        assert_eq!(
            bar("zone", 0.5, 1200, "to erase"),
            "zone            [###############...............]  50 %  1200 to erase"
        );
        assert_eq!(bar("zone", 7.0, 9, "erased"), "zone            [##############################] 100 %  9 erased");
        assert!(bar("external-params", 1.0, 1_000_000_000, "to erase").len() < 80);
    }

    #[test]
    fn a_line_is_plain() {
        assert_eq!(line("contact", 0.419, 1200, "erased"), "contact: 41 % gone through, 1200 erased in all");
    }
}
