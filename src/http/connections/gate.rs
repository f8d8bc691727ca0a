//! Gives the HTTP library one request of a connection at a time.
//!
//! The library would decode every request that it has received, and queue them all. So the bytes of
//! the next one are held back until the answer of the one before is on its way. It would also read
//! a body before anybody asks for it. So a long body is given in pieces, each when the one before
//! was read.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::head::{Body, Head};
use crate::telemetry::metrics::{self, Limit};

/// The bytes of a body that are given at once.
const PIECE: usize = 16 * 1024;

/// The same for a chunked body. Only the library can tell where such a body ends, so bytes after
/// its end can be among them.
const CHUNKED_PIECE: usize = 512;

/// The unit in which heads are charged. The first 8 KiB are free.
const SMALL_HEAD: usize = 8 * 1024;

/// The memory for large heads, in units of [`SMALL_HEAD`]. `bytes` is all of it.
pub fn memory_for_heads(bytes: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(bytes / SMALL_HEAD))
}

/// The gate of one connection.
pub struct Gate {
    state: RefCell<State>,
    heads: Arc<Semaphore>,
    /// Whether the last call of the connection has come.
    is_last: Cell<bool>,
}

#[derive(Default)]
struct State {
    phase: Phase,
    /// Received, and not given to the library yet.
    held: Vec<u8>,
    /// Wakes the task that waits until bytes that are held may be given.
    waker: Option<Waker>,
    /// The units of memory that the head takes. A small one takes none.
    head: Vec<OwnedSemaphorePermit>,
}

enum Phase {
    Head(Head),
    /// The rest of the body, in bytes, and how many of them may be given now.
    Body {
        left: u64,
        allowed: usize,
    },
    /// The same for a chunked body, whose rest is unknown.
    Chunks {
        allowed: usize,
    },
    /// The whole request was given, and has no complete answer yet.
    Answering,
    /// The answer is complete, and may not have been sent yet.
    Complete,
    /// The answer came before the end of the body. The library closes the connection.
    Closing,
}

impl Default for Phase {
    fn default() -> Phase {
        Phase::Head(Head::default())
    }
}

impl Gate {
    pub fn new(heads: Arc<Semaphore>) -> Gate {
        Gate { state: RefCell::default(), heads, is_last: Cell::new(false) }
    }

    /// Takes bytes that were received. Returns how many of them may be given to the library; the
    /// others are held back.
    ///
    /// # Errors
    ///
    /// The head is large, and too many large heads are in memory.
    pub fn receive(&self, bytes: &[u8], waker: &Waker) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        let given = state.phase.give(bytes);
        if !matches!(state.phase, Phase::Closing) && given < bytes.len() {
            state.held.extend_from_slice(&bytes[given..]);
            state.waker = Some(waker.clone());
        }
        state.charge(&self.heads)?;
        Ok(given)
    }

    /// Gives at most `most` of the bytes that are held back, as far as they may be given.
    ///
    /// # Errors
    ///
    /// Like [`Gate::receive`].
    pub fn release(&self, most: usize, waker: &Waker, give: impl FnOnce(&[u8])) -> io::Result<usize> {
        let state = &mut *self.state.borrow_mut();
        let length = state.held.len().min(most);
        let given = state.phase.give(&state.held[..length]);
        give(&state.held[..given]);
        state.held.drain(..given);
        if state.held.is_empty() {
            state.held = Vec::new();
        } else {
            state.waker = Some(waker.clone());
        }
        state.charge(&self.heads)?;
        Ok(given)
    }

    /// Marks the current call as the last one to execute. The library may already have received
    /// another one.
    pub fn end(&self) {
        self.is_last.set(true);
    }

    pub fn has_ended(&self) -> bool {
        self.is_last.get()
    }

    pub fn has_large_head(&self) -> bool {
        !self.state.borrow().head.is_empty()
    }

    pub fn holds_bytes(&self) -> bool {
        !self.state.borrow().held.is_empty()
    }

    /// Tells the gate that everything is flushed. Returns whether this was the end of an answer.
    pub fn flushed(&self) -> bool {
        let mut state = self.state.borrow_mut();
        let is_end = matches!(state.phase, Phase::Complete);
        if is_end {
            state.phase = Phase::default();
            state.wake();
        }
        is_end
    }

    /// The reader of the body has read what was given.
    pub fn read(&self) {
        let mut state = self.state.borrow_mut();
        match &mut state.phase {
            Phase::Body { allowed, .. } => *allowed = PIECE,
            Phase::Chunks { allowed } => *allowed = CHUNKED_PIECE,
            Phase::Head(_) | Phase::Answering | Phase::Complete | Phase::Closing => return,
        }
        state.wake();
    }

    fn mark_answer_complete(&self) {
        let mut state = self.state.borrow_mut();
        state.head.clear();
        state.phase = match std::mem::take(&mut state.phase) {
            Phase::Answering => Phase::Complete,
            Phase::Body { .. } | Phase::Chunks { .. } => {
                state.held = Vec::new();
                Phase::Closing
            }
            phase @ (Phase::Head(_) | Phase::Complete | Phase::Closing) => phase,
        };
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Takes the memory of a large head.
    fn charge(&mut self, heads: &Arc<Semaphore>) -> io::Result<()> {
        let Phase::Head(head) = &self.phase else { return Ok(()) };
        while head.length() > SMALL_HEAD * (1 + self.head.len()) {
            let Ok(unit) = Arc::clone(heads).try_acquire_owned() else {
                metrics::rejected(Limit::Memory);
                return Err(io::Error::other("too many large heads are being received"));
            };
            self.head.push(unit);
        }
        Ok(())
    }
}

impl Phase {
    /// Returns how many of these bytes the library may have.
    fn give(&mut self, bytes: &[u8]) -> usize {
        let mut given = 0;
        while given < bytes.len() {
            let rest = &bytes[given..];
            given += match self {
                Phase::Head(head) => match head.read(rest) {
                    None => rest.len(),
                    Some((length, body)) => {
                        *self = Phase::after_head(body);
                        length
                    }
                },
                Phase::Body { left, allowed } if *allowed > 0 => {
                    let length = rest.len().min(*allowed).min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= length as u64;
                    *allowed -= length;
                    if *left == 0 {
                        *self = Phase::Answering;
                    }
                    length
                }
                Phase::Chunks { allowed } if *allowed > 0 => {
                    let length = rest.len().min(*allowed);
                    *allowed -= length;
                    length
                }
                Phase::Body { .. } | Phase::Chunks { .. } | Phase::Answering | Phase::Complete | Phase::Closing => {
                    return given;
                }
            };
        }
        given
    }

    fn after_head(body: Body) -> Phase {
        match body {
            Body::Length(0) => Phase::Answering,
            Body::Length(left) => Phase::Body { left, allowed: PIECE },
            Body::Chunks => Phase::Chunks { allowed: CHUNKED_PIECE },
        }
    }
}

/// Tells the gate when the answer is complete: when this is dropped.
pub struct Answering(pub Option<Rc<Gate>>);

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(gate) = &self.0 {
            gate.mark_answer_complete();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    fn gate() -> Gate {
        Gate::new(memory_for_heads(1 << 20))
    }

    fn receive(gate: &Gate, bytes: &[u8]) -> usize {
        gate.receive(bytes, Waker::noop()).unwrap()
    }

    /// The bytes that the library gets of those that are held back.
    fn released(gate: &Gate) -> Vec<u8> {
        let mut bytes = Vec::new();
        gate.release(usize::MAX, Waker::noop(), |part| bytes.extend_from_slice(part)).unwrap();
        bytes
    }

    fn answer(gate: &Gate) {
        gate.mark_answer_complete();
        gate.flushed();
    }

    #[test]
    fn the_next_request_is_given_once_the_answer_is_sent() {
        let gate = gate();
        assert_eq!(receive(&gate, &GET.repeat(3)), GET.len());
        for _ in 0..2 {
            assert_eq!(released(&gate), b"");
            gate.mark_answer_complete();
            assert_eq!(released(&gate), b"", "the answer is not sent yet");
            gate.flushed();
            assert_eq!(released(&gate), GET);
        }
        assert!(!gate.holds_bytes());
        answer(&gate);
        assert_eq!(receive(&gate, GET), GET.len());
    }

    #[test]
    fn a_body_is_given_with_its_head() {
        let gate = gate();
        let request = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345";
        assert_eq!(receive(&gate, &[request, GET].concat()), request.len());
        answer(&gate);
        assert_eq!(released(&gate), GET);
    }

    #[test]
    fn a_long_body_is_given_as_it_is_read() {
        for (line, piece) in [("Content-Length: 99999", PIECE), ("Transfer-Encoding: chunked", CHUNKED_PIECE)] {
            let gate = gate();
            let head = format!("POST / HTTP/1.1\r\n{line}\r\n\r\n");
            let received = [head.as_bytes(), &b"x".repeat(3 * PIECE)].concat();
            assert_eq!(receive(&gate, &received), head.len() + piece);
            assert_eq!(released(&gate), b"");
            for _ in 0..2 {
                gate.read();
                assert_eq!(released(&gate), b"x".repeat(piece));
            }
        }
    }

    #[test]
    fn nothing_is_given_after_an_answer_that_came_before_the_end_of_the_body() {
        for head in ["Content-Length: 9", "Transfer-Encoding: chunked"] {
            let gate = gate();
            receive(&gate, format!("POST / HTTP/1.1\r\n{head}\r\n\r\n1").as_bytes());
            answer(&gate);
            assert_eq!(receive(&gate, GET), 0);
            assert!(!gate.holds_bytes());
        }
    }

    #[test]
    fn large_heads_are_bounded_together_and_small_ones_are_not() {
        let heads = memory_for_heads(2 * SMALL_HEAD);
        let line = [b"A: ", &b"x".repeat(SMALL_HEAD - 5)[..], b"\r\n"].concat();
        let gates: Vec<_> = (0..5).map(|_| Gate::new(heads.clone())).collect();
        let sends = |index: usize, bytes: &[u8]| gates[index].receive(bytes, Waker::noop()).is_ok();
        assert!((0..5).all(|index| sends(index, &line)));
        assert_eq!([0, 1, 2].map(|index| sends(index, &line)), [true, true, false]);
        assert!(sends(0, b"\r\n") && !sends(3, &line), "the head is in memory until it is answered");
        assert_eq!([0, 4].map(|index: usize| gates[index].has_large_head()), [true, false]);
        answer(&gates[0]);
        assert!(sends(4, &line));
    }
}
