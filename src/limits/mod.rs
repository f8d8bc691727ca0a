//! What the process may use: the descriptors that its container allows.

pub mod descriptors;

use crate::config::{Settings, SettingsError};

/// The largest number of connections for calls, if there is no setting and no lower limit.
const MOST_CONNECTIONS: usize = 1024;

/// The largest number of connections of the management port.
pub const MANAGEMENT_CONNECTIONS: usize = 64;

/// Raises the limit of descriptors, and returns the largest number of connections for calls.
///
/// # Errors
///
/// The descriptors do not suffice for the connections that are set.
pub fn connections(settings: &Settings) -> Result<usize, SettingsError> {
    let others = MANAGEMENT_CONNECTIONS + settings.database.max_connections as usize + settings.queue.workers;
    allowed_connections(settings.http.max_connections, descriptors::raise(), others)
}

fn allowed_connections(set: Option<usize>, limit: u64, others: usize) -> Result<usize, SettingsError> {
    let free = descriptors::free(limit, others);
    let wanted = set.unwrap_or(MOST_CONNECTIONS.min(free));
    if wanted <= free && wanted > 0 {
        return Ok(wanted);
    }
    let problem =
        format!("must be at most {free}, and is {wanted}: the process may have {limit} descriptors (`ulimit -n`)");
    Err(SettingsError::new("http.max_connections", problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_fit_into_the_descriptors() {
        assert_eq!(allowed_connections(None, 1 << 20, 73), Ok(1024));
        assert_eq!(allowed_connections(None, 1024, 73), Ok(855));
        assert_eq!(allowed_connections(Some(855), 1024, 73), Ok(855));
        assert_eq!(
            allowed_connections(Some(856), 1024, 73).unwrap_err().to_string(),
            "CUSTOMER_DELETION__HTTP__MAX_CONNECTIONS: must be at most 855, and is 856: the process may have 1024 \
             descriptors (`ulimit -n`)"
        );
        assert!(allowed_connections(None, 128, 73).is_err());
    }
}
