//! How long this machine stood still while a test measured how long something took.

use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

/// How long the watch sleeps at a time.
const NAP: Duration = Duration::from_millis(10);

/// What takes so long on a machine that stands still may have met the pause on its way there and on its way back.
const MEETINGS: u32 = 2;

/// Sleeps again and again, and notes how much longer than asked for that took. Ends when it is dropped.
pub struct StallWatch {
    started: Instant,
    naps: Arc<Mutex<Naps>>,
}

impl StallWatch {
    pub fn start() -> StallWatch {
        let started = Instant::now();
        let naps = Arc::new(Mutex::new(Naps::begin(started)));
        let watched = Arc::downgrade(&naps);
        std::thread::spawn(move || nap(&watched));
        StallWatch { started, naps }
    }

    /// What a limit may be exceeded by because the machine stood still since the start: next to nothing on a quiet one.
    pub fn allowance(&self) -> Duration {
        MEETINGS * locked(&self.naps).greatest_overshoot(Instant::now())
    }

    /// How long it is since the start, without what the machine may have stood still. For upper limits only.
    pub fn took(&self) -> Duration {
        let elapsed = self.started.elapsed();
        elapsed.saturating_sub(self.allowance())
    }
}

fn nap(naps: &Weak<Mutex<Naps>>) {
    while let Some(naps) = naps.upgrade() {
        locked(&naps).wake(Instant::now());
        drop(naps);
        std::thread::sleep(NAP);
    }
}

fn locked(naps: &Mutex<Naps>) -> MutexGuard<'_, Naps> {
    naps.lock().expect("nothing panics while it holds this lock")
}

struct Naps {
    fell_asleep: Instant,
    greatest: Duration,
}

impl Naps {
    fn begin(now: Instant) -> Naps {
        Naps { fell_asleep: now, greatest: Duration::ZERO }
    }

    fn wake(&mut self, now: Instant) {
        self.greatest = self.greatest_overshoot(now);
        self.fell_asleep = now;
    }

    /// With that of the nap that is not over yet, for who wakes sooner than the watch after a stall.
    fn greatest_overshoot(&self, now: Instant) -> Duration {
        self.greatest.max(now.saturating_duration_since(self.fell_asleep).saturating_sub(NAP))
    }
}

#[test]
fn the_longest_stall_counts_also_while_it_lasts_and_punctual_naps_do_not() {
    let ms = Duration::from_millis;
    let start = Instant::now();
    let mut naps = Naps::begin(start);
    naps.wake(start + ms(10));
    naps.wake(start + ms(20));
    assert_eq!(naps.greatest_overshoot(start + ms(25)), ms(0));
    naps.wake(start + ms(1030));
    naps.wake(start + ms(1045));
    assert_eq!(naps.greatest_overshoot(start + ms(1050)), ms(1000));
    assert_eq!(naps.greatest_overshoot(start + ms(3055)), ms(2000));
}

#[test]
fn a_watch_sleeps_for_as_long_as_it_is_kept() {
    let watch = StallWatch::start();
    let naps = Arc::downgrade(&watch.naps);
    let began = Instant::now();
    while locked(&watch.naps).fell_asleep <= watch.started {
        assert!(began.elapsed() < Duration::from_secs(20), "it does not sleep");
        std::thread::sleep(NAP);
    }
    drop(watch);
    while naps.strong_count() > 0 {
        assert!(began.elapsed() < Duration::from_secs(20), "it does not end");
        std::thread::sleep(NAP);
    }
}
