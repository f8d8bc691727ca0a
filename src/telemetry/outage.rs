//! What is tried again and again, and fails: worth a line when it begins, now and then, and when it is over.

use std::time::{Duration, Instant};

/// A failure that goes on is logged again after this time.
const REMINDER: Duration = Duration::from_secs(600);

/// When the failure that goes on was last logged; none while all is well.
#[derive(Debug, Default)]
pub struct Outage(Option<Instant>);

impl Outage {
    /// Whether the log should hear of this try.
    pub fn note(&mut self, went_well: bool, now: Instant) -> bool {
        if went_well {
            return self.0.take().is_some();
        }
        let is_news = self.0.is_none_or(|logged| now - logged >= REMINDER);
        if is_news {
            self.0 = Some(now);
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_news_at_its_begin_every_ten_minutes_and_at_its_end() {
        let began = Instant::now();
        let mut outage = Outage::default();
        let mut note = |went_well, seconds| outage.note(went_well, began + Duration::from_secs(seconds));
        assert!(!note(true, 0));
        assert!(note(false, 1));
        assert!(!note(false, 2));
        assert!(!note(false, 600));
        assert!(note(false, 601));
        assert!(!note(false, 602));
        assert!(note(true, 603));
        assert!(!note(true, 604));
        assert!(note(false, 605));
    }
}
