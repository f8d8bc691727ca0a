//! One fault, several times, while the service is under load, and the checks afterwards.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::audit::assert_agreement;
use super::load::{Attempt, Call, Connections, Load, Outcome};
use super::work::Stock;
use crate::support::process::Process;
use crate::support::world::Family;
use crate::support::{StallWatch, TestPool};

/// The longest time from the end of a fault until every client is served again.
pub const LONGEST_RECOVERY: Duration = Duration::from_secs(5);

/// The longest time from the end of a fault until every operation that was accepted before has ended.
const LONGEST_OPEN: Duration = Duration::from_secs(60);

/// A 503 comes within 3 s of its call. This leaves time for the machine.
const LONGEST_ANSWER: Duration = Duration::from_secs(5);

/// A busy machine gets more time: this many times the time that it takes to serve every client once without a fault, and the
/// time for which it stalled.
const ALLOWANCE: u32 = 20;

/// The clients of a trial in the long suites.
pub const CLIENTS: usize = 8;

/// The clients of a short trial, which also runs in `cargo test`.
pub const FEW_CLIENTS: usize = 3;

/// The most calls that a client makes in a second, because it pauses after each.
const CALLS_A_SECOND: usize = 50;

/// The time for which clients work before a fault.
const CALM: Duration = Duration::from_millis(500);

/// The number of repetitions of a fault: `few`, or the value of `FAULT_ROUNDS`.
pub fn rounds(few: usize) -> usize {
    std::env::var("FAULT_ROUNDS").map_or(few, |rounds| rounds.parse().expect("FAULT_ROUNDS is a number"))
}

/// The trials that run at the same time. The others wait before they begin. Each has enough clients to keep a core busy, so
/// more of them would show the limits of the machine, and not the effect of a fault.
static TURNS: Semaphore = Semaphore::const_new(2);

/// Clients at work, and when they were disturbed.
pub struct Trial {
    _turn: SemaphorePermit<'static>,
    name: &'static str,
    pub load: Load,
    clients: usize,
    faults: Vec<Fault>,
    watch: StallWatch,
}

struct Fault {
    injected: Instant,
    healed: Instant,
    allowance: Duration,
}

/// The results of a load, for assertions of single tests.
#[derive(Debug, Default)]
pub struct Seen {
    pub calls: usize,
    pub unavailable: usize,
    pub unanswered: usize,
    /// Calls that took effect without an answer. When they were sent again, they were answered by a replay.
    pub replayed_unanswered: usize,
    /// The reasons why calls had no answer, and how often.
    pub why: BTreeMap<String, usize>,
    /// Calls whose clients did not wait.
    pub accepted: usize,
}

impl Trial {
    pub async fn begin(name: &'static str, pool: &TestPool, family: Family, process: &Process) -> Trial {
        Trial::begin_with(CLIENTS, Connections::Kept, name, pool, family, process).await
    }

    pub async fn begin_with(
        clients: usize,
        connections: Connections,
        name: &'static str,
        pool: &TestPool,
        family: Family,
        process: &Process,
    ) -> Trial {
        let turn = TURNS.acquire().await.expect("it is never closed");
        let stock = Stock::new(family);
        stock.top_up(pool, 10 * clients * CALLS_A_SECOND).await;
        let load = Load::start(clients, stock, process.address, connections);
        let trial = Trial { _turn: turn, name, load, clients, faults: Vec::new(), watch: StallWatch::start() };
        trial.until_all_are_served(Duration::from_secs(30)).await;
        trial
    }

    /// Runs a fault of a few seconds, which returns when it was repaired, and waits until every client is served again.
    pub async fn disturb(&mut self, pool: &TestPool, fault: impl AsyncFnOnce() -> Instant) {
        self.disturb_for(pool, Duration::from_secs(5), fault).await;
    }

    /// The same with a fault that lasts this long.
    pub async fn disturb_for(&mut self, pool: &TestPool, lasts: Duration, fault: impl AsyncFnOnce() -> Instant) {
        let seconds = (lasts + 2 * LONGEST_RECOVERY).as_secs() as usize;
        self.load.stock.top_up(pool, seconds * self.clients * CALLS_A_SECOND).await;
        let allowance = self.allowance().await;
        tokio::time::sleep(CALM).await;
        let injected = Instant::now();
        let healed = fault().await;
        self.load.until_all_are_served(healed, LONGEST_RECOVERY + allowance).await;
        self.faults.push(Fault { injected, healed, allowance: allowance + self.watch.allowance() });
    }

    /// [`ALLOWANCE`] times the time that it takes to serve every client once without a fault.
    pub async fn allowance(&self) -> Duration {
        let calm = Instant::now();
        self.until_all_are_served(Duration::from_secs(30)).await;
        calm.elapsed() * ALLOWANCE
    }

    pub async fn until_all_are_served(&self, longest: Duration) {
        self.load.until_all_are_served(Instant::now(), longest).await;
    }

    /// Ends the load, asserts that nothing is lost, and prints the results.
    pub async fn end(self, pool: &TestPool) -> Seen {
        let (name, clients, faults, watch) = (self.name, self.clients, self.faults, self.watch);
        let calls = self.load.end().await;
        assert_agreement(pool, &calls).await;
        let recovery = faults.iter().enumerate().map(|(number, fault)| {
            let until = faults.get(number + 1).map(|next| next.injected);
            assert_served_since(&calls, fault.healed + LONGEST_RECOVERY + fault.allowance, until);
            assert_ended_by(&calls, fault.healed, LONGEST_OPEN + fault.allowance);
            recovery(&calls, clients, fault.healed)
        });
        let (first, all) = recovery
            .fold((Duration::ZERO, Duration::ZERO), |longest, one| (longest.0.max(one.0), longest.1.max(one.1)));
        let allowance = faults.iter().map(|fault| fault.allowance).max().unwrap_or_default();
        assert_answered_in_time(&calls, LONGEST_ANSWER + allowance + watch.allowance());
        let seen = Seen::by(&calls);
        assert!(seen.accepted > 0, "every client has waited");
        // Written directly, because the test harness would capture it.
        let _ = writeln!(
            std::io::stderr(),
            "fault: {name}  repetitions {}  calls {}  503s {}  unanswered {}  lost 0  first good answer {:.2} s  \
             longest until served {:.2} s  operations {}, open for {:.2} s at most",
            faults.len(),
            calls.len(),
            seen.unavailable,
            seen.unanswered,
            first.as_secs_f64(),
            all.as_secs_f64(),
            seen.accepted,
            longest_open(&calls).as_secs_f64(),
        );
        seen
    }
}

impl Seen {
    fn by(calls: &[Call]) -> Seen {
        let replayed_unanswered = calls.iter().filter(|call| is_replayed_unanswered(call)).count();
        let nothing = Seen { calls: calls.len(), why: whys(calls), replayed_unanswered, ..Seen::default() };
        attempts(calls).fold(nothing, |seen, attempt| Seen {
            calls: seen.calls,
            unavailable: seen.unavailable + usize::from(matches!(attempt.outcome, Outcome::Unavailable(_))),
            unanswered: seen.unanswered + usize::from(matches!(attempt.outcome, Outcome::Unanswered(_))),
            replayed_unanswered: seen.replayed_unanswered,
            why: seen.why,
            accepted: seen.accepted + usize::from(matches!(attempt.outcome, Outcome::Accepted(_))),
        })
    }
}

/// A 503 was an answer, even if the call turns out to have succeeded.
fn is_replayed_unanswered(call: &Call) -> bool {
    call.last().replayed && call.attempts.iter().any(|attempt| matches!(attempt.outcome, Outcome::Unanswered(_)))
}

/// The reasons why calls had no answer, and how often.
fn whys(calls: &[Call]) -> BTreeMap<String, usize> {
    let mut whys = BTreeMap::new();
    for attempt in attempts(calls) {
        if let Outcome::Unanswered(why) = &attempt.outcome {
            *whys.entry(why.clone()).or_default() += 1;
        }
    }
    whys
}

impl Seen {
    /// Asserts that the fault failed no call. On an overloaded machine, one call in a hundred may take too long without any
    /// fault.
    pub fn assert_not_noticed(&self, process: &Process) {
        let rare = self.unavailable * 100 <= self.calls && self.unanswered == 0;
        assert!(rare, "others noticed: {self:?}, and 503 because of {:?}", reasons(process));
    }
}

/// The logged reasons of the 503s, and how often.
pub fn reasons(process: &Process) -> BTreeMap<String, usize> {
    let mut reasons = BTreeMap::new();
    for line in process.log() {
        if line["status"] == 503 {
            *reasons.entry(line["reason"].to_string()).or_default() += 1;
        }
    }
    reasons
}

fn attempts(calls: &[Call]) -> impl Iterator<Item = &Attempt> {
    calls.iter().flat_map(|call| &call.attempts)
}

/// The times from the end of a fault to the first good answer of any client, and to the time when every client has had one.
fn recovery(calls: &[Call], clients: usize, healed: Instant) -> (Duration, Duration) {
    let firsts: Vec<Duration> = (0..clients)
        .filter_map(|client| {
            let own = calls.iter().filter(|call| call.client == client).flat_map(|call| &call.attempts);
            own.filter(|attempt| attempt.is_good() && attempt.ended > healed).map(|a| a.ended - healed).min()
        })
        .collect();
    assert_eq!(firsts.len(), clients, "a client is not served");
    (*firsts.iter().min().unwrap(), *firsts.iter().max().unwrap())
}

/// Asserts that every request that began in this time is served.
fn assert_served_since(calls: &[Call], since: Instant, until: Option<Instant>) {
    let late = attempts(calls)
        .find(|attempt| attempt.began > since && until.is_none_or(|until| attempt.ended < until) && !attempt.is_good());
    assert!(late.is_none(), "a request fails long after the fault: {late:?}");
}

/// Asserts that the operations that were accepted before a fault was repaired end soon afterwards.
fn assert_ended_by(calls: &[Call], healed: Instant, longest: Duration) {
    let late = calls
        .iter()
        .find(|call| call.end.as_ref().is_some_and(|end| end.accepted < healed && end.seen > healed + longest));
    assert!(late.is_none(), "an operation is open for {longest:?} after the fault: {late:?}");
}

fn longest_open(calls: &[Call]) -> Duration {
    calls.iter().filter_map(|call| call.end.as_ref()).map(|end| end.seen - end.accepted).max().unwrap_or_default()
}

fn assert_answered_in_time(calls: &[Call], longest: Duration) {
    let slowest = attempts(calls).map(|attempt| attempt.ended - attempt.began).max().unwrap_or_default();
    assert!(slowest < longest, "an answer took {slowest:?}");
}
