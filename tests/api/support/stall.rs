//! Measures how long this machine stood still while a test measured a duration.

use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

/// The length of one sleep of the watch.
const NAP: Duration = Duration::from_millis(10);

/// A shorter overshoot is no stall: other threads had their turn.
const SHORTEST_STALL: Duration = Duration::from_millis(20);

/// A call can meet a stall twice: on its way to the service, and on its way back.
const MEETINGS: u32 = 2;

/// Sleeps again and again, and notes by how much a sleep took too long. Ends when it is dropped.
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

    /// The time by which a limit may be exceeded because the machine stood still. Near 0 on a quiet machine.
    pub fn allowance(&self) -> Duration {
        MEETINGS * self.longest()
    }

    /// The longest time for which the machine stood still.
    pub fn longest(&self) -> Duration {
        locked(&self.naps).greatest_overshoot(Instant::now())
    }

    /// The time since the start, less the allowance. For upper limits only.
    pub fn took(&self) -> Duration {
        self.started.elapsed().saturating_sub(self.allowance())
    }

    /// The time since the start, less all stalls. For upper limits only, and only where a defect takes far longer than the
    /// limit: the sum of many stalls hides a few seconds.
    pub fn took_between_stalls(&self) -> Duration {
        let stalls = locked(&self.naps).all_stalls(Instant::now());
        self.started.elapsed().saturating_sub(self.allowance().max(stalls))
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
    /// The sum of all stalls.
    stalls: Duration,
}

impl Naps {
    fn begin(now: Instant) -> Naps {
        Naps { fell_asleep: now, greatest: Duration::ZERO, stalls: Duration::ZERO }
    }

    fn wake(&mut self, now: Instant) {
        self.greatest = self.greatest_overshoot(now);
        self.stalls = self.all_stalls(now);
        self.fell_asleep = now;
    }

    /// Includes the present sleep, because after a stall the test may wake before the watch.
    fn greatest_overshoot(&self, now: Instant) -> Duration {
        self.greatest.max(self.overshoot(now))
    }

    fn all_stalls(&self, now: Instant) -> Duration {
        let overshoot = self.overshoot(now);
        if overshoot < SHORTEST_STALL { self.stalls } else { self.stalls + overshoot }
    }

    /// The overshoot of the present sleep.
    fn overshoot(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.fell_asleep).saturating_sub(NAP)
    }
}

#[test]
fn stalls_count_also_while_they_last_and_naps_that_are_almost_punctual_do_not() {
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
    assert_eq!(naps.all_stalls(start + ms(1050)), ms(1000));
    assert_eq!(naps.all_stalls(start + ms(3055)), ms(3000));
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
