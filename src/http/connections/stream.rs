//! The stream of a connection, as the HTTP library reads and writes it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::gate::Gate;
use super::open::{Connection, Opened};

/// A stream whose gate gives the library one request at a time.
pub struct Stream {
    tcp: TcpStream,
    gate: Rc<Gate>,
    opened: Opened,
}

impl Stream {
    pub fn new(tcp: TcpStream, gate: Rc<Gate>, opened: Opened) -> Stream {
        Stream { tcp, gate, opened }
    }

    pub fn gate(&self) -> &Rc<Gate> {
        &self.gate
    }

    pub fn connection(&self) -> &Arc<Connection> {
        &self.opened.connection
    }
}

impl AsyncRead for Stream {
    /// Also reads while nothing may be given, because only a read tells that the client hung up. What it reads then is held
    /// back, and nothing more is read. The gate wakes the task when it opens.
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.gate.holds_bytes() {
            let gate = Rc::clone(&self.gate);
            let given = gate.release(buffer.remaining(), context.waker(), |bytes| buffer.put_slice(bytes))?;
            return if given > 0 { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        loop {
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
            if !self.gate.is_closing() {
                return Poll::Pending;
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    /// The library flushes once its buffer is empty.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.gate.sent();
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}
