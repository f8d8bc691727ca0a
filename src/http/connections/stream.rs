//! The stream of a connection, as the HTTP library reads and writes it.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use actix_web::rt::time::{Instant, Interval, interval_at};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::gate::Gate;
use super::open::Opened;

/// The interval at which a connection that is not read is asked whether its client has reset it.
const RESET_INTERVAL: Duration = Duration::from_secs(1);

/// A stream whose gate gives the library one request at a time.
pub struct Stream {
    tcp: TcpStream,
    pub gate: Rc<Gate>,
    pub opened: Opened,
    /// Ticks while bytes are held back.
    reset_check: Option<Interval>,
}

impl Stream {
    pub fn new(tcp: TcpStream, gate: Rc<Gate>, opened: Opened) -> Stream {
        Stream { tcp, gate, opened, reset_check: None }
    }

    /// Ready with the error once the client has reset the connection.
    fn poll_reset(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let first = || interval_at(Instant::now() + RESET_INTERVAL, RESET_INTERVAL);
        loop {
            ready!(self.reset_check.get_or_insert_with(first).poll_tick(context));
            if let Some(error) = self.tcp.take_error()? {
                return Poll::Ready(Err(error));
            }
        }
    }
}

impl AsyncRead for Stream {
    /// Also reads while nothing may be given, because a read tells at once that the client hung up.
    /// The gate holds these bytes back, and nothing more is read. When it opens, it wakes the task.
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.gate.holds_bytes() {
                let gate = Rc::clone(&self.gate);
                let given = gate.release(buffer.remaining(), context.waker(), |bytes| buffer.put_slice(bytes))?;
                if given == 0 {
                    return self.poll_reset(context);
                }
                self.reset_check = None;
                return Poll::Ready(Ok(()));
            }
            let before = buffer.filled().len();
            ready!(Pin::new(&mut self.tcp).poll_read(context, buffer))?;
            let received = &buffer.filled()[before..];
            if received.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let given = self.gate.receive(received, context.waker())?;
            buffer.set_filled(before + given);
            if given > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.tcp).poll_write(context, bytes))?;
        self.opened.connection.taken();
        Poll::Ready(Ok(written))
    }

    /// The library flushes once its buffer is empty.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gate.flushed() {
            self.opened.connection.sent();
        }
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}
