//! The calls of a turn, and what they say about throughput and latency.

use std::collections::BTreeMap;
use std::time::Duration;

/// One call, by the clock of its turn.
pub struct Sample {
    pub client: usize,
    pub begin: Duration,
    pub end: Duration,
}

/// The calls of a turn, those of each client in their order.
pub struct Samples {
    pub samples: Vec<Sample>,
    /// The first calls of each client, which are not counted.
    pub uncounted: usize,
    /// Seconds of processor time of whatever sent the calls.
    pub generator_cpu: f64,
    /// The share of its time in which pgbench fetched parameters.
    pub share_of_fetching: f64,
}

impl Samples {
    /// Counted calls that ended in a second.
    pub fn calls_a_second(&self) -> f64 {
        let (from, to) = self.span();
        let calls = self.counted().filter(|call| from < call.end && call.end <= to).count();
        calls as f64 / to.saturating_sub(from).as_secs_f64()
    }

    /// The time in which every client made counted calls: nobody is measured alone while the others start or have ended. In a
    /// turn that is too short to have such a time, all of the counted calls.
    fn span(&self) -> (Duration, Duration) {
        let begins = || self.by_client().into_values().filter_map(|calls| Some(calls.get(self.uncounted)?.begin));
        let ends = || self.by_client().into_values().filter_map(|calls| Some(calls.last()?.end));
        let all = (begins().min().unwrap_or_default(), ends().max().unwrap_or_default());
        let shared = (begins().max().unwrap_or_default(), ends().min().unwrap_or_default());
        if shared.1.saturating_sub(shared.0) > (all.1 - all.0) / 2 { shared } else { all }
    }

    /// The median and the 99th percentile of the counted calls.
    pub fn percentiles(&self) -> (Duration, Duration) {
        let mut times: Vec<Duration> = self.counted().map(|call| call.end.saturating_sub(call.begin)).collect();
        times.sort_unstable();
        let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
        (at(50), at(99))
    }

    fn counted(&self) -> impl Iterator<Item = &Sample> {
        self.by_client().into_values().flat_map(|calls| calls.into_iter().skip(self.uncounted))
    }

    fn by_client(&self) -> BTreeMap<usize, Vec<&Sample>> {
        let mut clients: BTreeMap<usize, Vec<&Sample>> = BTreeMap::new();
        for sample in &self.samples {
            clients.entry(sample.client).or_default().push(sample);
        }
        clients
    }
}
