//! The rows that a purge has erased so far.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::resource::{Reference, Resource};

/// The number of rows of each kind, in the order of the report.
#[derive(Debug)]
pub struct Tally {
    counts: Vec<(&'static str, u64)>,
    /// Rows that were due, but locked by another session.
    pub locked: u64,
    /// Old operations with a resource or status that only a newer build knows.
    pub of_newer_builds: u64,
    /// Rows that are kept because a live row refers to them.
    in_use: Vec<(Resource, u64)>,
    /// The number of rows and records that are kept for each customer under legal hold.
    on_hold: BTreeMap<Uuid, u64>,
}

impl Tally {
    pub fn new() -> Tally {
        let references = Resource::ALL.into_iter().filter_map(|resource| resource.rules().reference);
        let words = Resource::ALL.map(Resource::word).into_iter().chain(references.map(|reference| reference.word));
        Tally {
            counts: words.map(|word| (word, 0)).collect(),
            locked: 0,
            of_newer_builds: 0,
            in_use: Resource::ALL.map(|resource| (resource, 0)).into(),
            on_hold: BTreeMap::new(),
        }
    }

    pub fn add(&mut self, word: &'static str, count: u64) {
        match self.counts.iter_mut().find(|(known, _)| *known == word) {
            Some((_, so_far)) => *so_far += count,
            None => self.counts.push((word, count)),
        }
    }

    pub fn add_in_use(&mut self, resource: Resource, count: u64) {
        let so_far = self.in_use.iter_mut().filter(|(known, _)| *known == resource);
        so_far.for_each(|(_, so_far)| *so_far += count);
    }

    /// Counts a row for each customer.
    pub fn add_on_hold(&mut self, holders: &[Uuid]) {
        holders.iter().for_each(|holder| *self.on_hold.entry(*holder).or_default() += 1);
    }

    /// A headline and a line for each customer under legal hold, or `None` if nothing is kept for
    /// one.
    pub fn on_hold(&self) -> Option<String> {
        let rows: u64 = self.on_hold.values().sum();
        let lines = self.on_hold.iter().map(|(customer, rows)| format!("\n  customer {customer}: {rows}"));
        (rows > 0).then(|| format!("left, because of legal holds: {rows}{}", lines.collect::<String>()))
    }

    /// The references that keep rows, and how many rows each keeps.
    pub fn in_use(&self) -> impl Iterator<Item = (Reference, u64)> {
        let in_use = self.in_use.iter().filter(|(_, rows)| *rows > 0);
        in_use.filter_map(|(resource, rows)| Some((resource.rules().reference?, *rows)))
    }

    pub fn total(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// A headline, and a line for each kind.
    pub fn written(&self, only_counted: bool) -> String {
        let headline = if only_counted { "would be erased for good:" } else { "erased for good:" };
        let lines = self.counts.iter().map(|(word, count)| format!("\n  {word:<16}{count:>12}"));
        let left = [
            ("left for the next purge, because other sessions lock them", self.locked),
            ("operations left, because only a newer build knows their resource or status", self.of_newer_builds),
        ];
        let in_use = self.in_use().map(|(reference, rows)| (reference.left, rows));
        let left = left.into_iter().filter(|(_, rows)| *rows > 0).chain(in_use);
        let left = left.map(|(why, rows)| format!("\n{why}: {rows}"));
        let left = left.chain(self.on_hold().map(|on_hold| format!("\n{on_hold}")));
        let unknown = only_counted.then(|| {
            "\nnot known in a dry run: rows locked by other sessions, and rows kept by foreign keys or triggers of other services"
                .to_owned()
        });
        format!("{headline}{}", lines.chain(left).chain(unknown).collect::<String>())
    }
}
