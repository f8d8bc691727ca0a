//! The calls of a run, with their throughput and latency.

use std::collections::BTreeMap;
use std::time::Duration;

/// The first third of a run is not counted. In it, the clients get out of step with each other.
const UNCOUNTED_PART: u32 = 3;

/// One call. Times are counted from the start of its run.
pub struct Sample {
    pub client: usize,
    pub begin: Duration,
    pub end: Duration,
}

/// The calls of a run.
pub struct Samples {
    pub samples: Vec<Sample>,
    /// Seconds of processor time of whatever sent the calls.
    pub generator_cpu: f64,
    /// The share of its time in which pgbench fetched parameters.
    pub share_of_fetching: f64,
}

impl Samples {
    /// Calls that ended in a second.
    pub fn calls_a_second(&self) -> f64 {
        let (from, to) = self.counted_span();
        let calls = self.samples.iter().filter(|call| from < call.end && call.end <= to).count();
        calls as f64 / (to - from).as_secs_f64()
    }

    /// The median and the 99th percentile.
    pub fn percentiles(&self) -> (Duration, Duration) {
        let (from, to) = self.counted_span();
        let counted = self.samples.iter().filter(|call| from < call.end && call.end <= to);
        let mut times: Vec<Duration> = counted.map(|call| call.end - call.begin).collect();
        times.sort_unstable();
        let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
        (at(50), at(99))
    }

    /// From the end of the uncounted part until the first client has made its last call, so that all clients are busy in it. In a
    /// run that is too short for that, until the last client has made its last call.
    fn counted_span(&self) -> (Duration, Duration) {
        let mut last_calls: BTreeMap<usize, Duration> = BTreeMap::new();
        for call in &self.samples {
            let last = last_calls.entry(call.client).or_default();
            *last = call.end.max(*last);
        }
        let begin = self.samples.iter().map(|call| call.begin).min().unwrap_or_default();
        let end = last_calls.values().max().copied().unwrap_or_default();
        let shared_end = last_calls.values().min().copied().unwrap_or_default();
        let from = begin + (end - begin) / UNCOUNTED_PART;
        if shared_end > from + (end - from) / 2 { (from, shared_end) } else { (from, end) }
    }
}
