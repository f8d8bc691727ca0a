//! The result of `verify`.

use std::fmt;

use serde::Serialize;

/// The ids that are listed of each disagreement. All are counted.
const LISTED: usize = 20;

/// How many rows were verified, and each kind of disagreement.
#[derive(Debug, Default, Serialize)]
pub struct Verification {
    pub verified: Vec<Count>,
    pub disagreements: Vec<Disagreement>,
}

#[derive(Debug, Serialize)]
pub struct Count {
    pub part: &'static str,
    pub rows: u64,
}

/// Rows of one part that disagree in the same way.
#[derive(Debug, Serialize)]
pub struct Disagreement {
    pub name: String,
    pub part: &'static str,
    pub rows: u64,
    /// The first of them. For the schema, its lines.
    pub ids: Vec<String>,
}

impl Verification {
    pub fn add(&mut self, part: &'static str, name: &str, id: String) {
        let known = self.disagreements.iter().position(|known| known.part == part && known.name == name);
        let index = known.unwrap_or_else(|| {
            self.disagreements.push(Disagreement { name: name.to_owned(), part, rows: 0, ids: Vec::new() });
            self.disagreements.len() - 1
        });
        let disagreement = &mut self.disagreements[index];
        disagreement.rows += 1;
        if disagreement.ids.len() < LISTED {
            disagreement.ids.push(id);
        }
    }

    /// The number of all rows and guards that disagree.
    pub fn total(&self) -> u64 {
        self.disagreements.iter().map(|disagreement| disagreement.rows).sum()
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "verified:")?;
        for count in &self.verified {
            write!(formatter, "\n  {:<16}{:>12}", count.part, count.rows)?;
        }
        for disagreement in &self.disagreements {
            write!(formatter, "\n{} ({}): {}", disagreement.name, disagreement.part, disagreement.rows)?;
            for id in &disagreement.ids {
                write!(formatter, "\n  {id}")?;
            }
            let more = disagreement.rows - disagreement.ids.len() as u64;
            if more > 0 {
                write!(formatter, "\n  and {more} more")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_are_listed_and_all_are_counted() {
        let verified = vec![Count { part: "queue", rows: 7 }];
        let mut verification = Verification { verified, ..Verification::default() };
        for id in 0..23 {
            verification.add("queue", "queued without an operation", id.to_string());
        }
        let text = verification.to_string();
        assert_eq!(verification.total(), 23);
        assert!(
            text.starts_with(
                "verified:\n  queue                      7\nqueued without an operation (queue): 23\n  0\n"
            )
        );
        assert!(text.ends_with("\n  19\n  and 3 more"), "{text}");
    }
}
