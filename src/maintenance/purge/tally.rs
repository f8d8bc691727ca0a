//! What a purge has erased so far.

use super::statements::Belonging;
use crate::resource::Resource;

/// How many of each, in the order in which they are told.
#[derive(Debug)]
pub struct Tally {
    counts: Vec<(&'static str, u64)>,
    /// Rows that were to be erased, and that somebody held.
    pub in_use: u64,
    /// Products that a live customer still has.
    pub attached: u64,
}

impl Tally {
    pub fn new() -> Tally {
        let words = Resource::ALL.iter().map(|resource| resource.word()).chain([Belonging::Allocation.word()]);
        Tally { counts: words.map(|word| (word, 0)).collect(), in_use: 0, attached: 0 }
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
        let left = [
            ("left for the next purge, because somebody holds them", self.in_use),
            ("products left, because a live customer still has them", self.attached),
        ];
        let left = left.iter().filter(|(_, rows)| *rows > 0).map(|(why, rows)| format!("\n{why}: {rows}"));
        format!("{headline}{}", lines.chain(left).collect::<String>())
    }
}
