//! Bytes that are taken and given back.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const UNIT: usize = 1024;

/// Cheap to clone.
#[derive(Clone)]
pub struct Budget(Arc<Semaphore>);

/// Bytes of a budget. They are given back when this is dropped.
pub struct Taken(OwnedSemaphorePermit);

impl Budget {
    pub fn new(bytes: usize) -> Budget {
        Budget(Arc::new(Semaphore::new(bytes / UNIT)))
    }

    /// Returns `None` if too few bytes are left.
    pub fn take(&self, bytes: usize) -> Option<Taken> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).ok()?;
        Arc::clone(&self.0).try_acquire_many_owned(units).ok().map(Taken)
    }
}

impl Taken {
    pub fn bytes(&self) -> usize {
        self.0.num_permits() * UNIT
    }

    pub fn add(&mut self, other: Taken) {
        self.0.merge(other.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_can_be_taken_again() {
        let budget = Budget::new(10 * UNIT);
        let mut taken = budget.take(4 * UNIT + 1).unwrap();
        taken.add(budget.take(5 * UNIT).unwrap());
        assert_eq!(taken.bytes(), 10 * UNIT);
        assert!(budget.take(1).is_none());
        drop(taken);
        assert!(budget.take(10 * UNIT).is_some());
    }
}
