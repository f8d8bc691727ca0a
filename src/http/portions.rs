//! Divides a number of units among requesters, so that one requester never has all of them.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use uuid::Uuid;

/// Units that calls take and give back. Cheap to clone.
#[derive(Clone)]
pub struct Portions(Arc<Units>);

struct Units {
    all: usize,
    of_one: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    /// The units of each requester that has some.
    of: HashMap<Uuid, usize>,
}

/// The reason why no units are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoneLeft {
    ForAnybody,
    ForThisRequester,
}

/// Units of a requester. They are given back when this is dropped.
pub struct Portion {
    portions: Portions,
    requester: Uuid,
    units: usize,
}

impl Portions {
    /// One requester has at most `of_one` of all units.
    pub fn new(all: usize, of_one: usize) -> Portions {
        Portions(Arc::new(Units { all, of_one, taken: Mutex::default() }))
    }

    pub fn take(&self, requester: Uuid, units: usize) -> Result<Portion, NoneLeft> {
        let mut portion = Portion { portions: self.clone(), requester, units: 0 };
        portion.grow(units)?;
        Ok(portion)
    }
}

impl Portion {
    /// Takes more units.
    pub fn grow(&mut self, units: usize) -> Result<(), NoneLeft> {
        let mut taken = self.portions.0.taken.lock();
        let of_requester = taken.of.get(&self.requester).copied().unwrap_or(0) + units;
        if of_requester > self.portions.0.of_one {
            return Err(NoneLeft::ForThisRequester);
        }
        if taken.all + units > self.portions.0.all {
            return Err(NoneLeft::ForAnybody);
        }
        taken.all += units;
        taken.of.insert(self.requester, of_requester);
        self.units += units;
        Ok(())
    }

    pub fn units(&self) -> usize {
        self.units
    }
}

impl Drop for Portion {
    fn drop(&mut self) {
        let mut taken = self.portions.0.taken.lock();
        taken.all -= self.units;
        if let Some(of_requester) = taken.of.get_mut(&self.requester) {
            *of_requester -= self.units;
            if *of_requester == 0 {
                taken.of.remove(&self.requester);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_requester_never_has_all() {
        let portions = Portions::new(3, 2);
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let first = portions.take(one, 1).ok().unwrap();
        let second = portions.take(one, 1).ok().unwrap();
        assert_eq!(portions.take(one, 1).err(), Some(NoneLeft::ForThisRequester));
        let third = portions.take(other, 1).ok().unwrap();
        assert_eq!(portions.take(other, 1).err(), Some(NoneLeft::ForAnybody));
        drop(first);
        assert!(portions.take(other, 1).is_ok());
        drop((second, third));
        assert!(portions.0.taken.lock().of.is_empty() && portions.0.taken.lock().all == 0);
    }

    #[test]
    fn a_portion_that_cannot_grow_keeps_what_it_has() {
        let portions = Portions::new(10, 8);
        let mut portion = portions.take(Uuid::nil(), 5).ok().unwrap();
        assert_eq!(portion.grow(4), Err(NoneLeft::ForThisRequester));
        assert_eq!((portion.units(), portions.0.taken.lock().all), (5, 5));
        assert_eq!(portion.grow(3), Ok(()));
        drop(portion);
        assert_eq!(portions.0.taken.lock().all, 0);
    }
}
