//! The open connections of a port, and their limit.
//!
//! At the limit, a connection that waits for its client makes room for a new one. So a client can
//! hold connections, but cannot keep others out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{AbortHandle, AbortRegistration};
use parking_lot::Mutex;

use super::HEAD_TIMEOUT;
use crate::telemetry::metrics::{self, Port};

/// The interval at which idle connections are looked for. The HTTP library closes a connection that
/// is quiet, but waits for ever for the rest of a second head, and for a client to take its answer.
pub const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// The time that a client usually needs for its head, and for the next part of its answer.
const GRACE: Duration = Duration::from_secs(1);

/// The open connections of a port. Cheap to clone.
#[derive(Clone)]
pub struct Connections {
    open: Arc<Mutex<Vec<Arc<Connection>>>>,
    port: Port,
    pub limit: usize,
    pub keep_alive: Duration,
}

pub struct Connection {
    peer: Option<IpAddr>,
    state: Mutex<State>,
    close: AbortHandle,
}

#[derive(Clone, Copy)]
struct State {
    phase: Phase,
    /// The time when the connection was opened, its last call began, or the answer to it began or
    /// ended: the latest of these.
    since: Instant,
    /// Whether a call of the connection had a requester.
    is_known: bool,
}

#[derive(Clone, Copy)]
enum Phase {
    /// No call has begun, or the last answer has been sent completely.
    Idle,
    /// The call is checked, or its body is read.
    Receiving,
    /// The call is in flight.
    Working,
    /// The answer is being sent. The client took the last part of it at this time.
    Answering(Instant),
}

/// How a connection waits for its client.
#[derive(Clone, Copy)]
struct Wait {
    kind: Kind,
    since: Instant,
    is_known: bool,
}

/// The kinds of waits, in the order in which connections are closed at the limit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// The connection has waited for longer than [`GRACE`], and no call of it had a requester.
    Stranger,
    Other,
    /// The client takes its answer.
    Taking,
}

/// A connection, for as long as it is open.
pub struct Opened {
    connections: Connections,
    pub connection: Arc<Connection>,
}

/// A call, for as long as it has no answer.
pub struct Calling(Arc<Connection>);

impl Connections {
    /// Connections without a call are closed after `keep_alive`.
    pub fn new(port: Port, limit: usize, keep_alive: Duration) -> Connections {
        Connections { open: Arc::default(), port, limit, keep_alive }
    }

    /// Takes a new connection. Returns `None` if it must be closed, because calls of all others are
    /// in flight.
    pub fn open(&self, peer: Option<IpAddr>) -> Option<(Opened, AbortRegistration)> {
        let mut open = self.open.lock();
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
        let now = Instant::now();
        let waits = candidates.filter_map(|(index, connection)| {
            connection.state.lock().wait(now).map(|wait| (index, connection.peer, wait))
        });
        let Some(index) = least_needed(waits.collect()) else { return false };
        open.swap_remove(index).close.abort();
        true
    }

    /// Closes connections that have had no call in progress for longer than `keep_alive` and the
    /// time for a head. It counts from the opening, or from the beginning or end of the last answer.
    pub fn close_idle(&self) {
        let longest = self.keep_alive + HEAD_TIMEOUT;
        for connection in self.open.lock().iter() {
            let State { phase, since, .. } = *connection.state.lock();
            if matches!(phase, Phase::Idle | Phase::Answering(_)) && since.elapsed() > longest {
                connection.close.abort();
            }
        }
    }
}

/// The largest number of connections from one address. A gateway is one address, and needs most of
/// them.
fn most_of_one_peer(limit: usize) -> usize {
    (limit * 3 / 4).max(1)
}

/// Chooses the connection to close. Candidates are of the first kind present, from the address with
/// the most of that kind. They form two groups: with and without a requester. The larger group
/// loses the connection that has waited longest.
fn least_needed(mut waits: Vec<(usize, Option<IpAddr>, Wait)>) -> Option<usize> {
    let kind = waits.iter().map(|(.., wait)| wait.kind).min()?;
    waits.retain(|(.., wait)| wait.kind == kind);
    let mut of_peers = HashMap::new();
    for (_, peer, _) in &waits {
        *of_peers.entry(*peer).or_insert(0) += 1;
    }
    let most = of_peers.values().copied().max();
    waits.retain(|(_, peer, _)| of_peers.get(peer).copied() == most);
    let known = waits.iter().filter(|(.., wait)| wait.is_known).count();
    let are_known = known > waits.len() - known;
    let group = waits.into_iter().filter(|(.., wait)| wait.is_known == are_known);
    group.min_by_key(|(.., wait)| wait.since).map(|(index, ..)| index)
}

impl State {
    /// Returns `None` while a call is in flight.
    fn wait(&self, now: Instant) -> Option<Wait> {
        let (since, kind) = match self.phase {
            Phase::Working => return None,
            Phase::Idle | Phase::Receiving => (self.since, Kind::Other),
            Phase::Answering(last_taken) => (last_taken, Kind::Taking),
        };
        let kind = match (now.saturating_duration_since(since) > GRACE, self.is_known) {
            (false, _) => kind,
            (true, true) => Kind::Other,
            (true, false) => Kind::Stranger,
        };
        Some(Wait { kind, since, is_known: self.is_known })
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock();
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
        self.state.lock().is_known = true;
    }

    /// A call is in flight, and its connection is not closed at the limit.
    pub fn work(&self) {
        self.state.lock().phase = Phase::Working;
    }

    /// The client took a part of the answer.
    pub fn taken(&self) {
        if let Phase::Answering(last_taken) = &mut self.state.lock().phase {
            *last_taken = Instant::now();
        }
    }

    /// The whole answer is sent.
    pub fn sent(&self) {
        self.enter(Phase::Idle);
    }

    /// Whether the connection was closed to make room for another one.
    pub fn is_closed(&self) -> bool {
        self.close.is_aborted()
    }

    fn enter(&self, phase: Phase) {
        let mut state = self.state.lock();
        state.phase = phase;
        state.since = Instant::now();
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        self.0.enter(Phase::Answering(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn connections(limit: usize) -> Connections {
        Connections::new(Port::Calls, limit, Duration::ZERO)
    }

    fn peer(last: u8) -> Option<IpAddr> {
        Some(Ipv4Addr::new(10, 0, 0, last).into())
    }

    fn open(connections: &Connections, last: u8) -> Opened {
        connections.open(peer(last)).expect("there is room").0
    }

    fn open_known(connections: &Connections, last: u8) -> Opened {
        let opened = open(connections, last);
        opened.connection.identified();
        opened
    }

    fn is_closed(opened: &Opened) -> bool {
        opened.connection.is_closed()
    }

    /// Changes the state as if the connection had waited for this much longer.
    fn age(opened: &Opened, seconds: u64) {
        let mut state = opened.connection.state.lock();
        let longer = Duration::from_secs(seconds);
        state.since -= longer;
        if let Phase::Answering(last_taken) = &mut state.phase {
            *last_taken -= longer;
        }
    }

    #[test]
    fn the_longest_wait_without_a_requester_makes_room() {
        let connections = connections(4);
        let known = open_known(&connections, 1);
        let (first, second, third) = (open(&connections, 2), open(&connections, 3), open(&connections, 4));
        for (opened, seconds) in [(&known, 9), (&first, 7), (&second, 6), (&third, 5)] {
            age(opened, seconds);
        }
        let calling = first.connection.begin();
        let fourth = open(&connections, 5);
        assert_eq!([&known, &first, &second, &third].map(is_closed), [false, false, true, false]);
        drop(calling);
        open(&connections, 6);
        assert!(is_closed(&third) && !is_closed(&first) && !is_closed(&fourth));
    }

    #[test]
    fn a_new_connection_has_time_for_its_head_though_the_others_have_a_requester() {
        let connections = connections(8);
        let known: Vec<_> = (1..=8).map(|last| open_known(&connections, last)).collect();
        age(&known[3], 2);
        let new = open(&connections, 9);
        assert!(is_closed(&known[3]) && !is_closed(&new));
        age(&known[5], 2);
        let _tenth = open_known(&connections, 10);
        assert!(is_closed(&known[5]) && !is_closed(&new));
        age(&new, 2);
        let _eleventh = open_known(&connections, 11);
        assert!(is_closed(&new), "its time is over");
    }

    #[test]
    fn new_connections_do_not_make_room_at_the_cost_of_known_ones() {
        let connections = connections(8);
        let known = open_known(&connections, 1);
        age(&known, 60);
        let new: Vec<_> = (0..20).map(|index| open(&connections, 2 + index)).collect();
        assert!(!is_closed(&known));
        assert_eq!(new.iter().filter(|opened| is_closed(opened)).count(), 13);
    }

    #[test]
    fn the_address_with_the_most_connections_makes_room() {
        let connections = connections(8);
        let others: Vec<_> = (1..=3).map(|last| open_known(&connections, last)).collect();
        others.iter().for_each(|other| age(other, 60));
        let many: Vec<_> = (0..5).map(|_| open_known(&connections, 9)).collect();
        let _fourth = open_known(&connections, 4);
        assert!(!others.iter().any(is_closed) && is_closed(&many[0]));
    }

    #[test]
    fn a_client_that_takes_its_answer_keeps_its_connection_and_one_that_stops_does_not() {
        let connections = connections(4);
        let answered: Vec<_> = (1..=4).map(|last| open(&connections, last)).collect();
        for opened in &answered {
            drop(opened.connection.begin());
            age(opened, 6);
        }
        answered[0].connection.taken();
        answered[1].connection.taken();
        answered[2].connection.sent();
        let new = open(&connections, 5);
        assert_eq!([0, 1, 2, 3].map(|index: usize| is_closed(&answered[index])), [false, false, false, true]);
        connections.close_idle();
        let closed = [&answered[0], &answered[2], &new].map(is_closed);
        assert_eq!(closed, [true, false, false], "taking an answer slowly has an end");
    }

    #[test]
    fn a_client_that_takes_its_answer_makes_room_after_one_that_asks_for_nothing() {
        let connections = connections(4);
        let taking: Vec<_> = (1..=3).map(|last| open(&connections, last)).collect();
        taking.iter().for_each(|opened| drop(opened.connection.begin()));
        let idle = open(&connections, 4);
        let _new = open(&connections, 5);
        assert!(is_closed(&idle) && !taking.iter().any(is_closed));
    }

    #[test]
    fn a_call_in_flight_is_not_closed_and_a_new_connection_is() {
        let connections = connections(1);
        let working = open(&connections, 1);
        let calling = working.connection.begin();
        working.connection.work();
        assert!(connections.open(peer(2)).is_none() && !is_closed(&working));
        drop(calling);
        assert!(connections.open(peer(2)).is_some() && is_closed(&working));
    }

    #[test]
    fn one_address_has_three_quarters_and_then_takes_its_own() {
        let connections = connections(8);
        let other = open(&connections, 2);
        let own: Vec<_> = (0..7).map(|_| open(&connections, 1)).collect();
        assert!(!is_closed(&other));
        assert_eq!(own.iter().filter(|opened| is_closed(opened)).count(), 1);
    }

    #[test]
    fn a_connection_that_ends_makes_room() {
        let connections = connections(2);
        let first = open(&connections, 1);
        drop(open(&connections, 2));
        open(&connections, 2);
        assert!(!is_closed(&first));
    }
}
