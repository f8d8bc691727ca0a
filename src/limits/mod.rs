//! The descriptors and the memory that the container of the process allows.

mod container;
pub mod descriptors;
mod memory;

pub use self::memory::{COST_OF_BODY, LARGE_BODIES, Memory, RECEIVE_BUFFER, SEND_BUFFER};
use crate::config::{Settings, SettingsError};

/// The largest number of connections for calls, if there is no setting and no lower limit.
const MOST_CONNECTIONS: usize = 1024;

/// The largest number of connections of the management port.
pub const MANAGEMENT_CONNECTIONS: usize = 64;

/// Raises the limit of descriptors. Returns the largest number of connections for calls, and the
/// memory that these may use.
///
/// # Errors
///
/// The connections or the bodies that are set do not fit into the container.
pub fn fit(settings: &Settings) -> Result<(usize, Memory), SettingsError> {
    let container = container::memory();
    let memory = Memory::new(settings, container)?;
    let others = MANAGEMENT_CONNECTIONS + settings.database.max_connections as usize + settings.queue.workers;
    let descriptors = descriptors::raise();
    let mut limits = vec![(
        descriptors::free(descriptors, others),
        format!("the process may have {descriptors} descriptors (`ulimit -n`)"),
    )];
    if let Some(bytes) = container {
        limits.push((memory.connections(bytes), format!("the container has {bytes} bytes of memory")));
    }
    let (most, reason) = limits.into_iter().min().expect("there is one");
    Ok((connections(settings.http.max_connections, most, &reason)?, memory))
}

/// The largest number of calls that wait for the end of an operation. Each costs one connection, so
/// most connections stay free.
pub fn max_waiting_calls(max_in_flight: usize, max_connections: usize) -> usize {
    (4 * max_in_flight).min(max_connections / 4)
}

fn connections(set: Option<usize>, most: usize, reason: &str) -> Result<usize, SettingsError> {
    let wanted = set.unwrap_or(MOST_CONNECTIONS.min(most));
    if (1..=most).contains(&wanted) {
        return Ok(wanted);
    }
    let problem = format!("must be at most {most}, and is {wanted}: {reason}");
    Err(SettingsError::new("http.max_connections", problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_fit_into_the_container() {
        assert_eq!(descriptors::free(1024, 73), 855);
        assert_eq!(connections(None, 1 << 20, ""), Ok(1024));
        assert_eq!(connections(None, 855, ""), Ok(855));
        assert_eq!(connections(Some(855), 855, ""), Ok(855));
        assert_eq!(
            connections(Some(856), 855, "because").unwrap_err().to_string(),
            "CUSTOMER_DELETION__HTTP__MAX_CONNECTIONS: must be at most 855, and is 856: because"
        );
        assert!(connections(None, 0, "").is_err());
    }

    #[test]
    fn waiting_calls_have_at_most_a_quarter_of_the_connections() {
        assert_eq!(max_waiting_calls(1, 1024), 4);
        assert_eq!(max_waiting_calls(128, 1024), 256);
        assert_eq!(max_waiting_calls(128, 100), 25);
        assert_eq!(max_waiting_calls(128, 3), 0);
    }
}
