//! What a purge has erased so far.

use super::statements::Belonging;
use crate::resource::Resource;

/// How many of each, in the order in which they are told.
#[derive(Debug)]
pub struct Tally {
    counts: Vec<(&'static str, u64)>,
    /// Rows that were to be erased, and that somebody held.
    pub in_use: u64,
}

impl Tally {
    pub fn new() -> Tally {
        let words = Resource::ALL.iter().map(|resource| resource.word()).chain([Belonging::Allocation.word()]);
        Tally { counts: words.map(|word| (word, 0)).collect(), in_use: 0 }
    }

    pub fn add(&mut self, word: &'static str, count: u64) {
        match self.counts.iter_mut().find(|(known, _)| *known == word) {
            Some((_, so_far)) => *so_far += count,
            None => self.counts.push((word, count)),
        }
    }

    pub fn total(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// A headline and a line for each.
    pub fn written(&self, only_counted: bool) -> String {
        let headline = if only_counted { "would be erased for good:" } else { "erased for good:" };
        let lines = self.counts.iter().map(|(word, count)| format!("\n  {word:<16}{count:>12}"));
        let in_use = match self.in_use {
            0 => String::new(),
            rows => format!("\nleft for the next purge, because somebody holds them: {rows}"),
        };
        format!("{headline}{}{in_use}", lines.collect::<String>())
    }
}
