//! The open connections of a port, and their limit.
//!
//! At the limit, the connection that waits longest for its client makes room for a new one. So a client can hold connections,
//! but cannot keep others out.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::future::{AbortHandle, AbortRegistration};

use crate::telemetry::metrics::{self, Port};

/// The interval at which idle connections are looked for. The library closes one that is quiet, but waits for ever for the rest
/// of a second head, and for a client to take its answer.
pub const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// The open connections of a port. Cheap to clone.
#[derive(Clone)]
pub struct Connections {
    open: Arc<Mutex<Vec<Arc<Connection>>>>,
    port: Port,
    limit: usize,
}

pub struct Connection {
    peer: Option<IpAddr>,
    state: Mutex<State>,
    close: AbortHandle,
}

#[derive(Clone, Copy)]
struct State {
    phase: Phase,
    /// The begin of the connection, or of its last call, or the end of that.
    since: Instant,
    /// Whether a call of the connection had a requester.
    is_known: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No call has begun, or the last one was answered.
    Idle,
    /// The call is checked, or its body is read.
    Receiving,
    /// The call is in flight.
    Working,
}

/// A connection, for as long as it is open.
pub struct Opened {
    connections: Connections,
    pub connection: Arc<Connection>,
}

/// A call, for as long as it has no answer.
pub struct Calling(Arc<Connection>);

impl Connections {
    pub fn new(port: Port, limit: usize) -> Connections {
        Connections { open: Arc::default(), port, limit }
    }

    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Takes a new connection. Returns `None` if it must be closed, because calls of all others are in flight.
    pub fn open(&self, peer: Option<IpAddr>) -> Option<(Opened, AbortRegistration)> {
        let mut open = self.all();
        if !self.make_room(&mut open, peer) {
            return None;
        }
        let (close, closing) = AbortHandle::new_pair();
        let state = State { phase: Phase::Idle, since: Instant::now(), is_known: false };
        let connection = Arc::new(Connection { peer, state: Mutex::new(state), close });
        open.push(Arc::clone(&connection));
        metrics::open_connections(self.port, open.len());
        Some((Opened { connections: self.clone(), connection }, closing))
    }

    /// Closes a connection at the limit. Returns whether there is room for a new one.
    fn make_room(&self, open: &mut Vec<Arc<Connection>>, peer: Option<IpAddr>) -> bool {
        let of_peer = open.iter().filter(|connection| connection.peer == peer).count();
        let is_peer_at_limit = of_peer >= most_of_one_peer(self.limit);
        if !is_peer_at_limit && open.len() < self.limit {
            return true;
        }
        metrics::connection_limit_reached(self.port);
        let candidates = open.iter().enumerate();
        let candidates = candidates.filter(|(_, connection)| !is_peer_at_limit || connection.peer == peer);
        let waiting = candidates.filter_map(|(index, connection)| connection.wait().map(|wait| (wait, index)));
        let Some((_, longest)) = waiting.min() else { return false };
        open.swap_remove(longest).close.abort();
        true
    }

    /// Closes the connections that have had no call for so long.
    pub fn close_idle(&self, longest: Duration) {
        for connection in self.all().iter() {
            let state = connection.state();
            if state.phase == Phase::Idle && state.since.elapsed() > longest {
                connection.close.abort();
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Connection>>> {
        self.open.lock().expect("nothing panics while it holds this lock")
    }
}

/// The largest number of connections from one address. A gateway is one address, so it is most of them.
fn most_of_one_peer(limit: usize) -> usize {
    (limit * 3 / 4).max(1)
}

impl Drop for Opened {
    fn drop(&mut self) {
        let mut open = self.connections.all();
        if let Some(index) = open.iter().position(|connection| Arc::ptr_eq(connection, &self.connection)) {
            open.swap_remove(index);
            metrics::open_connections(self.connections.port, open.len());
        }
    }
}

impl Connection {
    /// Begins a call.
    pub fn begin(self: &Arc<Connection>) -> Calling {
        self.enter(Phase::Receiving);
        Calling(Arc::clone(self))
    }

    /// A call has a requester.
    pub fn identified(&self) {
        self.lock().is_known = true;
    }

    /// A call is in flight, and its connection is not closed at the limit.
    pub fn work(&self) {
        self.lock().phase = Phase::Working;
    }

    fn enter(&self, phase: Phase) {
        let mut state = self.lock();
        state.phase = phase;
        state.since = Instant::now();
    }

    /// The order in which connections are closed at the limit. Clients that had a requester before come last. Returns `None`
    /// while a call is in flight.
    fn wait(&self) -> Option<(bool, Instant)> {
        let state = self.state();
        (state.phase != Phase::Working).then_some((state.is_known, state.since))
    }

    fn state(&self) -> State {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        self.0.enter(Phase::Idle);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn peer(last: u8) -> Option<IpAddr> {
        Some(Ipv4Addr::new(10, 0, 0, last).into())
    }

    fn open(connections: &Connections, last: u8) -> Opened {
        connections.open(peer(last)).expect("there is room").0
    }

    fn is_closed(opened: &Opened) -> bool {
        opened.connection.close.is_aborted()
    }

    #[test]
    fn the_longest_wait_without_a_requester_makes_room() {
        let connections = Connections::new(Port::Calls, 4);
        let known = open(&connections, 1);
        known.connection.identified();
        let (first, second, third) = (open(&connections, 2), open(&connections, 3), open(&connections, 4));
        let calling = first.connection.begin();
        let fourth = open(&connections, 5);
        assert_eq!([&known, &first, &second, &third].map(is_closed), [false, false, true, false]);
        drop(calling);
        open(&connections, 6);
        assert!(is_closed(&third) && !is_closed(&first) && !is_closed(&fourth));
    }

    #[test]
    fn a_call_in_flight_is_not_closed_and_a_new_connection_is() {
        let connections = Connections::new(Port::Calls, 1);
        let working = open(&connections, 1);
        let calling = working.connection.begin();
        working.connection.work();
        assert!(connections.open(peer(2)).is_none() && !is_closed(&working));
        drop(calling);
        assert!(connections.open(peer(2)).is_some() && is_closed(&working));
    }

    #[test]
    fn one_address_has_three_quarters_and_then_takes_its_own() {
        let connections = Connections::new(Port::Calls, 8);
        let other = open(&connections, 2);
        let own: Vec<_> = (0..7).map(|_| open(&connections, 1)).collect();
        assert!(!is_closed(&other));
        assert_eq!(own.iter().filter(|opened| is_closed(opened)).count(), 1);
    }

    #[test]
    fn a_connection_that_ends_makes_room() {
        let connections = Connections::new(Port::Calls, 2);
        let first = open(&connections, 1);
        drop(open(&connections, 2));
        open(&connections, 2);
        assert!(!is_closed(&first));
    }
}
