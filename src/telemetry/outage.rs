//! A failure of work that is repeated for ever. The log has a line when it begins, every few minutes, and when it ends.

use std::time::{Duration, Instant};

/// A failure that lasts is logged again after this time.
const REMINDER: Duration = Duration::from_secs(300);

/// The time when the present failure was last logged. `None` if the last try succeeded.
#[derive(Debug, Default)]
pub struct Outage(Option<Instant>);

impl Outage {
    /// Returns whether to log this try.
    pub fn note(&mut self, succeeded: bool, now: Instant) -> bool {
        if succeeded {
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
        let mut note = |succeeded, seconds| outage.note(succeeded, began + Duration::from_secs(seconds));
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
