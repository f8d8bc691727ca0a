//! Gives the HTTP library one request of a connection at a time.
//!
//! The library would decode every request that it has received, and queue them all. So the bytes of the next one are held back
//! until the answer of the one before is on its way.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;

use super::head::{Body, Head};

/// The bytes of a chunked body that are given at once. Only the library can tell where such a body ends, so bytes behind its end
/// can be among them.
const CHUNKED_PIECE: usize = 512;

/// The gate of one connection.
#[derive(Default)]
pub struct Gate {
    state: RefCell<State>,
    /// Whether the last call of the connection has come.
    is_last: Cell<bool>,
}

#[derive(Default)]
struct State {
    phase: Phase,
    /// Received, and not given to the library yet.
    held: Vec<u8>,
}

enum Phase {
    Head(Head),
    /// So many bytes of the body are still to come.
    Body(u64),
    /// So many bytes of a chunked body may be given.
    Chunks(usize),
    /// The whole request was given, and has no complete answer yet.
    Answering,
    /// The answer is complete, and may not be sent yet.
    Answered,
    /// The answer came before the end of the body. The library closes the connection.
    Closing,
}

impl Default for Phase {
    fn default() -> Phase {
        Phase::Head(Head::default())
    }
}

impl Gate {
    /// Takes bytes that were received. Returns how many of them may be given to the library; the others are held back.
    pub fn receive(&self, bytes: &[u8]) -> usize {
        let mut state = self.state.borrow_mut();
        let given = state.phase.give(bytes);
        if !matches!(state.phase, Phase::Closing) {
            state.held.extend_from_slice(&bytes[given..]);
        }
        given
    }

    /// Gives at most `most` of the bytes that are held back, as far as they may be given.
    pub fn release(&self, most: usize, give: impl FnOnce(&[u8])) -> usize {
        let state = &mut *self.state.borrow_mut();
        let length = state.held.len().min(most);
        let given = state.phase.give(&state.held[..length]);
        give(&state.held[..given]);
        state.held.drain(..given);
        if state.held.is_empty() {
            state.held = Vec::new();
        }
        given
    }

    /// No later call of the connection may be executed. The library may have received one with the last.
    pub fn end(&self) {
        self.is_last.set(true);
    }

    pub fn has_ended(&self) -> bool {
        self.is_last.get()
    }

    pub fn holds_bytes(&self) -> bool {
        !self.state.borrow().held.is_empty()
    }

    pub fn is_closing(&self) -> bool {
        matches!(self.state.borrow().phase, Phase::Closing)
    }

    /// Everything that the library had to send is sent.
    pub fn sent(&self, waker: &Waker) {
        let mut state = self.state.borrow_mut();
        if matches!(state.phase, Phase::Answered) {
            state.phase = Phase::default();
            if !state.held.is_empty() {
                waker.wake_by_ref();
            }
        }
    }

    /// The reader of a chunked body waits for more.
    pub fn wants_chunks(&self, waker: &Waker) {
        let mut state = self.state.borrow_mut();
        if let Phase::Chunks(allowed) = &mut state.phase {
            *allowed = CHUNKED_PIECE;
            if !state.held.is_empty() {
                waker.wake_by_ref();
            }
        }
    }

    fn answered(&self) {
        let mut state = self.state.borrow_mut();
        state.phase = match std::mem::take(&mut state.phase) {
            Phase::Answering => Phase::Answered,
            Phase::Body(_) | Phase::Chunks(_) => {
                state.held = Vec::new();
                Phase::Closing
            }
            phase @ (Phase::Head(_) | Phase::Answered | Phase::Closing) => phase,
        };
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
                Phase::Body(left) => {
                    let length = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= length as u64;
                    if *left == 0 {
                        *self = Phase::Answering;
                    }
                    length
                }
                Phase::Chunks(allowed) if *allowed > 0 => {
                    let length = rest.len().min(*allowed);
                    *allowed -= length;
                    length
                }
                Phase::Chunks(_) | Phase::Answering | Phase::Answered | Phase::Closing => return given,
            };
        }
        given
    }

    fn after_head(body: Body) -> Phase {
        match body {
            Body::Length(0) => Phase::Answering,
            Body::Length(length) => Phase::Body(length),
            Body::Chunks => Phase::Chunks(CHUNKED_PIECE),
        }
    }
}

/// Tells the gate when the answer is complete: when this is dropped.
pub struct Answering(pub Option<Rc<Gate>>);

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(gate) = &self.0 {
            gate.answered();
        }
    }
}

/// The body of an answer. The library drops it once all of it is in the library's buffer.
pub struct AnswerBody<B> {
    pub body: B,
    pub _answering: Answering,
}

impl<B: MessageBody + Unpin> MessageBody for AnswerBody<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, B::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    /// What the library gets of the bytes that are held back.
    fn released(gate: &Gate) -> Vec<u8> {
        let mut bytes = Vec::new();
        gate.release(usize::MAX, |part| bytes.extend_from_slice(part));
        bytes
    }

    fn answer(gate: &Gate) {
        gate.answered();
        gate.sent(Waker::noop());
    }

    #[test]
    fn the_next_request_is_given_once_the_answer_is_sent() {
        let gate = Gate::default();
        assert_eq!(gate.receive(&GET.repeat(3)), GET.len());
        for _ in 0..2 {
            assert_eq!(released(&gate), b"");
            gate.answered();
            assert_eq!(released(&gate), b"", "the answer is not sent yet");
            gate.sent(Waker::noop());
            assert_eq!(released(&gate), GET);
        }
        assert!(!gate.holds_bytes());
        answer(&gate);
        assert_eq!(gate.receive(GET), GET.len());
    }

    #[test]
    fn a_body_is_given_with_its_head() {
        let gate = Gate::default();
        let request = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345";
        assert_eq!(gate.receive(&[request, GET].concat()), request.len());
        answer(&gate);
        assert_eq!(released(&gate), GET);
    }

    #[test]
    fn a_chunked_body_is_given_as_it_is_read() {
        let gate = Gate::default();
        let head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(gate.receive(&[head, &b"x".repeat(5000)[..]].concat()), head.len() + CHUNKED_PIECE);
        assert_eq!(released(&gate), b"");
        for _ in 0..2 {
            gate.wants_chunks(Waker::noop());
            assert_eq!(released(&gate), b"x".repeat(CHUNKED_PIECE));
        }
    }

    #[test]
    fn nothing_is_given_after_an_answer_that_came_before_the_end_of_the_body() {
        for head in ["Content-Length: 9", "Transfer-Encoding: chunked"] {
            let gate = Gate::default();
            gate.receive(format!("POST / HTTP/1.1\r\n{head}\r\n\r\n1").as_bytes());
            answer(&gate);
            assert_eq!(gate.receive(GET), 0);
            assert!(!gate.holds_bytes());
        }
    }
}
