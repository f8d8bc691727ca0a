//! Sends calls over HTTP on a few connections, and measures how long each takes.
//!
//! It shares the machine with the measured service, so it does little. It has one thread, and the requests are made before the
//! clock starts. Of an answer, it checks only the length and whether it is the expected one.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

use crate::AnyError;
use crate::process;
use crate::samples::{Sample, Samples};

/// No call takes this long, however busy the machine.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The answer that every call of a run must get.
#[derive(Clone, Copy)]
pub struct Expected {
    pub status: u16,
    /// Text that is in it.
    pub contains: &'static str,
}

/// A successful deletion.
pub const DELETED: Expected = Expected { status: 200, contains: "{\"errorCode\":\"\"," };

/// A call, ready to be sent.
pub type Request = Vec<u8>;

/// The call that deletes a list of contacts.
pub fn deletion(requester: &str, customer: &str, ids: &[String], more_headers: &str) -> Request {
    let body = format!("{{\"id\":[\"{}\"]}}", ids.join("\",\""));
    format!(
        "DELETE /api/v2/customer/{customer}/contact HTTP/1.1\r\nHost: bench\r\nX-Requester-Id: {requester}\r\n{more_headers}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A status call. There are two, with different paths.
pub fn status(path: &str, requester: &str) -> Request {
    format!("GET {path} HTTP/1.1\r\nHost: bench\r\nX-Requester-Id: {requester}\r\n\r\n").into_bytes()
}

/// Sends every request once, on so many connections at once.
pub fn send(
    address: SocketAddr,
    requests: Vec<Request>,
    connections: usize,
    expected: Expected,
) -> Result<Samples, AnyError> {
    // It has a thread of its own, so that its processor time can be measured separately.
    let send = move || send_all(address, requests, connections, expected).map_err(|error| error.to_string());
    thread::spawn(send).join().map_err(|_| "the load generator panicked")?.map_err(AnyError::from)
}

fn send_all(
    address: SocketAddr,
    requests: Vec<Request>,
    connections: usize,
    expected: Expected,
) -> Result<Samples, AnyError> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async {
        let mut streams = Vec::new();
        for _ in 0..connections {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        let cpu_before = process::cpu_of_this_thread()?;
        let work = Rc::new(Work {
            samples: RefCell::new(Vec::with_capacity(requests.len())),
            requests,
            next: Cell::new(0),
            began: Instant::now(),
            expected,
        });
        let senders: Vec<_> = (streams.into_iter().enumerate())
            .map(|(number, stream)| tokio::task::spawn_local(Rc::clone(&work).run(number, stream)))
            .collect();
        for sender in senders {
            sender.await??;
        }
        let cpu = process::cpu_of_this_thread()? - cpu_before;
        Ok(Samples { samples: work.samples.take(), generator_cpu: cpu, share_of_fetching: 0.0 })
    })
}

struct Work {
    requests: Vec<Request>,
    next: Cell<usize>,
    samples: RefCell<Vec<Sample>>,
    began: Instant,
    expected: Expected,
}

impl Work {
    /// Sends on one connection until nothing is left.
    async fn run(self: Rc<Self>, client: usize, stream: TcpStream) -> io::Result<()> {
        let mut answer = Vec::with_capacity(4096);
        loop {
            let number = self.next.replace(self.next.get() + 1);
            let Some(request) = self.requests.get(number) else { return Ok(()) };
            let begin = self.began.elapsed();
            let call = call(&stream, request, &mut answer);
            tokio::time::timeout(ANSWER_TIMEOUT, call).await.map_err(io::Error::from)??;
            let end = self.began.elapsed();
            self.expected.require(&answer)?;
            self.samples.borrow_mut().push(Sample { client, begin, end });
        }
    }
}

impl Expected {
    fn require(self, answer: &[u8]) -> io::Result<()> {
        let status = answer.get(9..12).and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
        if status == Some(self.status) && contains(answer, self.contains.as_bytes()) {
            return Ok(());
        }
        let Expected { status, contains } = self;
        let answer = String::from_utf8_lossy(answer);
        Err(io::Error::other(format!("not an answer with {status} and {contains}:\n{answer}")))
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Sends the request and reads the answer, all of it.
async fn call(stream: &TcpStream, mut request: &[u8], answer: &mut Vec<u8>) -> io::Result<()> {
    while !request.is_empty() {
        match stream.try_write(request) {
            Ok(written) => request = &request[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    answer.clear();
    loop {
        stream.readable().await?;
        match stream.try_read_buf(answer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) if is_whole(answer)? => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

fn is_whole(answer: &[u8]) -> io::Result<bool> {
    let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(false) };
    let length = answer[..head].split(|byte| *byte == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked("content-length:".len())?;
        let value = str::from_utf8(value).ok()?;
        name.eq_ignore_ascii_case(b"content-length:").then(|| value.trim().parse::<usize>().ok())?
    });
    let length = length.ok_or_else(|| io::Error::other("an answer without its length"))?;
    Ok(answer.len() >= head + 4 + length)
}
