//! The memory for large answers.

use super::{Budget, Taken};

/// A smaller answer takes nothing of the memory.
const SMALL_ANSWER: usize = 16 * 1024;

/// No memory is left for a large answer.
#[derive(Debug)]
pub struct NoMemory;

/// Cheap to clone.
#[derive(Clone)]
pub struct Answers(Budget);

impl Answers {
    pub fn new(bytes: usize) -> Answers {
        Answers(Budget::new(bytes))
    }

    /// The memory of an answer until it is sent. A small one takes none.
    pub fn take(&self, bytes: usize) -> Result<Option<Taken>, NoMemory> {
        if bytes < SMALL_ANSWER {
            return Ok(None);
        }
        // The library copies the answer before it sends it.
        self.0.take(bytes.saturating_mul(2)).map(Some).ok_or(NoMemory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_answers_are_bounded_until_they_are_sent_and_small_ones_are_not() {
        let answers = Answers::new(64 * 1024);
        let large = answers.take(20 * 1024).unwrap();
        assert!(answers.take(20 * 1024).is_err());
        assert!(answers.take(1024).unwrap().is_none());
        drop(large);
        assert!(answers.take(20 * 1024).unwrap().is_some());
    }
}
