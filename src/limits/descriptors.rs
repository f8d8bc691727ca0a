//! The descriptors that the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The descriptors for everything else: listeners, event queues, logs, key files, fetches of keys,
/// traces, and connections that are being closed.
const OTHERS: u64 = 96;

/// Raises the limit of this process to the allowed maximum, and returns it.
pub fn raise() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    current.unwrap_or(u64::MAX)
}

/// The number of connections that fit under the limit, beside `used` others of the process.
pub fn free(limit: u64, used: usize) -> usize {
    usize::try_from(limit.saturating_sub(OTHERS)).unwrap_or(usize::MAX).saturating_sub(used)
}
