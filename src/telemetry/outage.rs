//! A failure of work that runs in a loop. It is logged when it starts, every five minutes, and when
//! it ends.

use std::fmt::Display;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// A failure that lasts is logged again after this time.
const REMINDER: Duration = Duration::from_secs(300);

/// The time when the present failure was last logged. `None` if the last try succeeded.
#[derive(Debug, Default)]
pub struct Outage(Mutex<Option<Instant>>);

impl Outage {
    /// Logs the result of a try, unless the last line says the same.
    pub fn report<T, E: Display>(&self, result: &Result<T, E>, begin: &'static str, end: &'static str) {
        match (result, self.note(result.is_ok())) {
            (Err(reason), true) => tracing::warn!(%reason, "{begin}"),
            (Ok(_), true) => tracing::info!("{end}"),
            (_, false) => {}
        }
    }

    /// Returns whether to log this try.
    pub fn note(&self, succeeded: bool) -> bool {
        self.note_at(succeeded, Instant::now())
    }

    fn note_at(&self, succeeded: bool, now: Instant) -> bool {
        let mut logged = self.0.lock();
        if succeeded {
            return logged.take().is_some();
        }
        let is_news = logged.is_none_or(|logged| now - logged >= REMINDER);
        if is_news {
            *logged = Some(now);
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
        let outage = Outage::default();
        let note = |succeeded, seconds| outage.note_at(succeeded, began + Duration::from_secs(seconds));
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
