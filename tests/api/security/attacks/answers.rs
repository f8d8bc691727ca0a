//! Large answers that the client does not read, or that come on many connections.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use uuid::Uuid;

use super::Target;

/// More memory than a connection may use after large answers, and less than one such answer.
const OF_A_CONNECTION: usize = 40 << 10;

impl Target {
    /// A request by this requester whose answer has 150 kB.
    async fn large_answer(&self, requester: Uuid, sub_customer: Uuid) -> String {
        let refused = self.refuse_list((requester, sub_customer), 1000).await;
        let id = refused.headers()["Request-Id"].to_str().unwrap();
        format!("GET /api/v3/global/call/{id} HTTP/1.1\r\nHost: test\r\nX-Requester-Id: {requester}\r\n\r\n")
    }

    /// Sends these bytes on a connection whose client has hardly any receive buffer.
    async fn connect_deaf(&self, bytes: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(self.process.address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        stream
    }
}

/// Reads one answer. Returns its status line and its length.
async fn read_answer(stream: &mut TcpStream) -> (String, usize) {
    let mut answer = Vec::new();
    loop {
        let head = answer.windows(4).position(|end| end == b"\r\n\r\n");
        if let Some(head) = head {
            let text = String::from_utf8_lossy(&answer[..head]).to_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("it has a length");
            if answer.len() == head + 4 + length.parse::<usize>().unwrap() {
                return (text.lines().next().unwrap().to_owned(), answer.len());
            }
        }
        assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "the answer is cut off");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_one_requester_does_not_read_leave_memory_to_others() {
    let target = Target::start().await;
    let unread = target.large_answer(target.usual.parent, target.usual.requester).await;
    let usual = target.large_answer(target.usual.requester, target.usual.sub_customer).await;
    let deaf = join_all((0..300).map(|_| target.connect_deaf(&unread))).await;
    for _ in 0..3 {
        let mut reading = TcpStream::connect(target.process.address).await.unwrap();
        reading.write_all(usual.as_bytes()).await.unwrap();
        let (status, length) = read_answer(&mut reading).await;
        assert!(status == "http/1.1 200 ok" && length > 100_000, "{status}: {length} bytes");
        target.assert_serves_for(Duration::ZERO).await;
    }
    drop(deaf);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_keeps_no_memory_of_its_answers() {
    const CONNECTIONS: usize = 250;

    let target = Target::start().await;
    let request = target.large_answer(target.usual.parent, target.usual.requester).await;
    let mut streams = Vec::new();
    let before = target.resident();
    for _ in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(target.process.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(read_answer(&mut stream).await.1 > 100_000);
        streams.push(stream);
    }
    let of_one = target.resident().saturating_sub(before) / CONNECTIONS;
    println!("{of_one} bytes for each connection");
    assert!(of_one < OF_A_CONNECTION, "{of_one} bytes for each connection");
    drop(streams);
}
