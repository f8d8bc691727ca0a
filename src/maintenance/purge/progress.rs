//! The progress of a purge, as a bar and as a line.

const BAR_WIDTH: usize = 30;

/// `verb` follows the number of rows: erased, or to erase.
pub fn bar(table: &str, done: f64, rows: u64, verb: &str) -> String {
    let full = ((done.clamp(0.0, 1.0) * BAR_WIDTH as f64) as usize).min(BAR_WIDTH);
    let (full, empty) = ("#".repeat(full), ".".repeat(BAR_WIDTH - full));
    format!("{table:<16}[{full}{empty}] {:>3} %  {rows} {verb}", percent(done))
}

pub fn line(table: &str, done: f64, rows: u64, verb: &str) -> String {
    format!("{table}: {} % done, {rows} {verb} in all", percent(done))
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
        assert_eq!(line("contact", 0.419, 1200, "erased"), "contact: 41 % done, 1200 erased in all");
    }
}
