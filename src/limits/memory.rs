//! The memory that calls may use at once: for heads, bodies and answers.

use crate::config::{Settings, SettingsError};

/// The memory of the process itself. A process that serves no calls takes less.
const IDLE: u64 = 64 << 20;

/// The sizes of the kernel's buffers of a connection. The kernel doubles them, for its own data.
/// The first bounds the bytes that a client may send in a round trip.
pub const RECEIVE_BUFFER: usize = 32 << 10;
pub const SEND_BUFFER: usize = 16 << 10;

/// The memory of a connection with a small head, body and answer: at most 32 KiB, and the kernel's
/// buffers, which control groups of version 2 count.
const CONNECTION: u64 = ((32 << 10) + 2 * (RECEIVE_BUFFER + SEND_BUFFER)) as u64;

/// The bytes of memory for each byte of a body: for the body itself, its ids, and the parameters of
/// the statement.
pub const COST_OF_BODY: usize = 2;

/// The number of large bodies that may be in memory at once.
pub const LARGE_BODIES: usize = 4;

/// The least memory for bodies: room for many small ones at once.
const LEAST_BODIES: usize = 32 << 20;

/// The memory for each use, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub bodies: usize,
    pub heads: usize,
    pub answers: usize,
}

impl Memory {
    /// Bodies take at most a quarter of the container's memory.
    ///
    /// # Errors
    ///
    /// One requester, who has at most half of it, could not send the largest body.
    pub fn new(settings: &Settings, container: Option<u64>) -> Result<Memory, SettingsError> {
        let (synchronous, asynchronous) = (settings.http.max_body_bytes, settings.queue.max_body_bytes);
        let wanted = (LARGE_BODIES * COST_OF_BODY * synchronous.max(asynchronous)).max(LEAST_BODIES);
        let bodies = container.map_or(wanted, |limit| wanted.min(to_usize(limit / 4)));
        let largest = bodies / 2 / COST_OF_BODY;
        for (path, set) in [("http.max_body_bytes", synchronous), ("queue.max_body_bytes", asynchronous)] {
            if set > largest {
                let problem = format!(
                    "must be at most {largest}, and is {set}: the container has {} bytes of memory",
                    container.unwrap_or_default()
                );
                return Err(SettingsError::new(path, problem));
            }
        }
        Ok(Memory { bodies, heads: bodies / 4, answers: bodies / 4 })
    }

    /// The largest number of connections in the rest of the container's memory.
    pub fn connections(&self, container: u64) -> usize {
        let used = IDLE + (self.bodies + self.heads + self.answers) as u64;
        to_usize(container.saturating_sub(used) / CONNECTION)
    }
}

fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn a_container_bounds_what_calls_may_use() {
        let settings = Settings::default();
        let memory = Memory { bodies: 64 * MIB, heads: 16 * MIB, answers: 16 * MIB };
        assert_eq!(Memory::new(&settings, None), Ok(memory));
        assert_eq!(Memory::new(&settings, Some(256 << 20)), Ok(memory));
        assert_eq!(memory.connections(256 << 20), 768);
        assert_eq!(memory.connections(128 << 20), 0);
        assert_eq!(
            Memory::new(&settings, Some(96 << 20)).unwrap_err().to_string(),
            "CUSTOMER_DELETION__QUEUE__MAX_BODY_BYTES: must be at most 6291456, and is 8388608: the container has \
             100663296 bytes of memory"
        );
    }

    #[test]
    fn the_largest_bodies_fit_where_there_is_no_container() {
        let mut settings = Settings::default();
        settings.queue.max_body_bytes = 64 * MIB;
        assert_eq!(Memory::new(&settings, None).unwrap().bodies, 512 * MIB);
        (settings.queue.max_body_bytes, settings.http.max_body_bytes) = (1, 1);
        assert_eq!(Memory::new(&settings, None).unwrap().bodies, 32 * MIB);
    }
}
