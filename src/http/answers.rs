//! The memory for large answers. One requester has only a part of it, because its clients may read
//! slowly.

use super::call::Requester;
use super::shares::{NoneLeft, Share, Shares};

/// A smaller answer takes nothing of the memory.
const SMALL_ANSWER: usize = 16 * 1024;

/// The bytes of memory for each byte of an answer: the buffer into which it is written grows by
/// doubling.
const COST_OF_ANSWER: usize = 2;

/// Cheap to clone.
#[derive(Clone)]
pub struct Answers(Shares);

impl Answers {
    pub fn new(bytes: usize) -> Answers {
        Answers(Shares::new(bytes, bytes / 2))
    }

    /// The memory of an answer until it is sent. A small one takes none.
    pub fn take(&self, requester: Requester, bytes: usize) -> Result<Option<Share>, NoneLeft> {
        if bytes < SMALL_ANSWER {
            return Ok(None);
        }
        self.0.take(requester.0, bytes.saturating_mul(COST_OF_ANSWER)).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const LARGE: usize = 20 * 1024;

    #[test]
    fn large_answers_are_bounded_until_they_are_sent_and_small_ones_are_not() {
        let answers = Answers::new(5 * LARGE);
        let [one, other] = [1, 2].map(|id| Requester(Uuid::from_u128(id)));
        let large = answers.take(one, LARGE).unwrap();
        assert_eq!(answers.take(one, LARGE).err(), Some(NoneLeft::ForThisRequester));
        assert!(answers.take(one, 1024).unwrap().is_none());
        let of_other = answers.take(other, LARGE).unwrap();
        assert_eq!(answers.take(Requester(Uuid::nil()), LARGE).err(), Some(NoneLeft::ForAnybody));
        drop((large, of_other));
        assert!(answers.take(one, LARGE).unwrap().is_some());
    }
}
