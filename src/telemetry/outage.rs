//! A failure of something that is tried again and again: the log has a line when it begins, every few minutes, and when it ends.

use std::time::{Duration, Instant};

/// A failure that goes on is logged again after this time.
const REMINDER: Duration = Duration::from_secs(300);

/// When the failure that goes on was last logged. `None` while all is well.
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
    fn an_outage_is_news_at_its_begin_every_five_minutes_and_at_its_end() {
        let began = Instant::now();
        let mut outage = Outage::default();
        let mut note = |went_well, seconds| outage.note(went_well, began + Duration::from_secs(seconds));
        assert!(!note(true, 0));
        assert!(note(false, 1));
        assert!(!note(false, 2));
        assert!(!note(false, 300));
        assert!(note(false, 301));
        assert!(!note(false, 302));
        assert!(note(true, 303));
        assert!(!note(true, 304));
        assert!(note(false, 305));
    }
}
