//! Whether the schema can be relied on, as it was last seen.

use std::sync::atomic::{AtomicU64, Ordering};

/// Not there until a look has found the schema as it should be, and gone with every doubt.
#[derive(Default)]
pub struct Trust {
    doubts: AtomicU64,
    /// How many doubts there had been when the look began that found all well, and one.
    dispelled: AtomicU64,
}

/// A look that has begun.
#[derive(Clone, Copy)]
pub struct Look(u64);

impl Trust {
    pub fn is_there(&self) -> bool {
        self.dispelled.load(Ordering::SeqCst) > self.doubts.load(Ordering::SeqCst)
    }

    /// Perhaps the schema has changed.
    pub fn doubt(&self) {
        self.doubts.fetch_add(1, Ordering::SeqCst);
    }

    pub fn look(&self) -> Look {
        Look(self.doubts.load(Ordering::SeqCst))
    }

    /// The look found all well. What it saw may be older than a doubt that came after it had begun, and does not dispel that.
    pub fn all_is_well(&self, look: Look) {
        self.dispelled.fetch_max(look.0 + 1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_is_older_than_a_doubt_does_not_dispel_it() {
        let trust = Trust::default();
        assert!(!trust.is_there());
        trust.all_is_well(trust.look());
        assert!(trust.is_there());

        let slow = trust.look();
        trust.doubt();
        trust.all_is_well(slow);
        assert!(!trust.is_there());
        trust.all_is_well(trust.look());
        trust.all_is_well(slow);
        assert!(trust.is_there());
    }
}
