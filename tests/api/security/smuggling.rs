//! Bytes that two readers could split into calls in two ways. They are rejected, their connection is closed, and a deletion
//! that is hidden behind them is not executed.

use std::time::Duration;

use customer_deletion::resource::Resource;
use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use uuid::Uuid;

use crate::support::service::collection;
use crate::support::world::Family;
use crate::support::{TestService, body};

/// Longer than every timeout of the service.
const PATIENCE: Duration = Duration::from_secs(30);

/// A service, and a contact that a hidden deletion would delete.
struct Target {
    service: TestService,
    family: Family,
    contact: Uuid,
}

impl Target {
    async fn new() -> Target {
        let service = TestService::shared().await;
        let family = service.world.family().await;
        let contact = service.world.contact(family.sub_customer).await;
        Target { service, family, contact }
    }

    fn path(&self) -> String {
        collection(self.family.sub_customer, Resource::Contact)
    }

    fn requester(&self) -> String {
        format!("X-Requester-Id: {}\r\n", self.family.requester)
    }

    /// A whole, valid call.
    fn deletion(&self, contact: Uuid) -> String {
        let body = body(&[contact]);
        let length = body.len();
        format!(
            "DELETE {} HTTP/1.1\r\nHost: test\r\n{}Content-Length: {length}\r\n\r\n{body}",
            self.path(),
            self.requester()
        )
    }

    /// The head of a call that is authenticated, with more header lines, each with its line end.
    fn head(&self, lines: &str) -> String {
        format!("POST {}:batchDelete HTTP/1.1\r\nHost: test\r\n{}{lines}\r\n", self.path(), self.requester())
    }

    /// Sends everything at the same time, with a deletion at the end, and reads until the service closes.
    async fn send(&self, bytes: &str) -> String {
        let mut connection = TcpStream::connect(self.service.address).await.unwrap();
        let hidden = self.deletion(self.contact);
        connection.write_all(format!("{bytes}{hidden}").as_bytes()).await.unwrap();
        let mut answers = Vec::new();
        let closed = timeout(PATIENCE, connection.read_to_end(&mut answers)).await;
        let answers = String::from_utf8_lossy(&answers).into_owned();
        // A reset counts as closed, and everything before it has been read.
        assert!(closed.is_ok(), "the connection stays open: {answers}");
        answers
    }

    async fn assert_nothing_happened(&self, answers: &str) {
        assert!(self.service.world.deleted(Resource::Contact, &[self.contact]).await.is_empty(), "{answers}");
        assert_eq!(self.service.world.operations().await, 0, "{answers}");
    }

    async fn assert_refused(&self, bytes: &str) {
        let answers = self.send(bytes).await;
        let statuses = statuses(&answers);
        assert!(!statuses.is_empty() && statuses.iter().all(|status| *status == "400"), "{answers}");
        assert!(answers.contains("connection: close"), "{answers}");
        // That message would be about the contents of the body, and not about its framing.
        assert!(!answers.contains("there is no id"), "{answers}");
        assert_not_stored(&answers);
        self.assert_nothing_happened(&answers).await;
    }
}

/// The HTTP library answers unreadable bytes with a bare 400, which no cache stores by default.
fn assert_not_stored(answers: &str) {
    for answer in answers.split("HTTP/1.1 ").skip(1) {
        let by_the_library = answer.contains("content-length: 0\r\n") && !answer.contains("request-id: ");
        assert!(by_the_library || answer.contains("cache-control: no-store\r\n"), "{answers}");
    }
}

fn statuses(answers: &str) -> Vec<&str> {
    answers.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)).collect()
}

#[tokio::test]
async fn two_good_calls_at_once_are_both_executed() {
    let target = Target::new().await;
    let other = target.service.world.contact(target.family.sub_customer).await;
    let first = target.deletion(other);
    let mut connection = TcpStream::connect(target.service.address).await.unwrap();

    connection.write_all(format!("{first}{}", target.deletion(target.contact)).as_bytes()).await.unwrap();
    let mut answers = String::new();
    while statuses(&answers).len() < 2 {
        let mut buffer = [0; 4096];
        let length = timeout(PATIENCE, connection.read(&mut buffer)).await.unwrap().unwrap();
        assert_ne!(length, 0, "{answers}");
        answers.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }

    assert_eq!(statuses(&answers), ["200", "200"]);
    assert_eq!(target.service.world.deleted(Resource::Contact, &[other, target.contact]).await.len(), 2);
}

#[rstest]
#[case::a_length_and_chunks("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")]
#[case::chunks_and_a_length("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")]
#[case::two_equal_lengths("Content-Length: 2\r\nContent-Length: 2\r\n", "{}")]
#[case::two_lengths("Content-Length: 2\r\nContent-Length: 0\r\n", "{}")]
#[case::a_list_of_lengths("Content-Length: 2, 2\r\n", "{}")]
#[case::a_plus("Content-Length: +2\r\n", "{}")]
#[case::a_minus("Content-Length: -2\r\n", "{}")]
#[case::a_hexadecimal_length("Content-Length: 0x2\r\n", "{}")]
#[case::two_numbers("Content-Length: 2 2\r\n", "{}")]
#[case::a_fraction("Content-Length: 2.0\r\n", "{}")]
#[case::an_empty_length("Content-Length:\r\n", "")]
#[case::a_length_that_overflows("Content-Length: 18446744073709551618\r\n", "{}")]
#[tokio::test]
async fn a_length_that_can_be_read_in_two_ways_is_rejected(#[case] lines: &str, #[case] body: &str) {
    let target = Target::new().await;
    target.assert_refused(&format!("{}{body}", target.head(lines))).await;
}

#[rstest]
#[case::an_unknown_one("Transfer-Encoding: xchunked\r\n")]
#[case::chunked_in_quotes("Transfer-Encoding: \"chunked\"\r\n")]
#[case::chunked_and_identity("Transfer-Encoding: chunked, identity\r\n")]
#[case::identity_and_chunked("Transfer-Encoding: identity, chunked\r\n")]
#[case::another_and_chunked("Transfer-Encoding: gzip, chunked\r\n")]
#[case::identity("Transfer-Encoding: identity\r\n")]
#[case::identity_and_a_length("Transfer-Encoding: identity\r\nContent-Length: 0\r\n")]
#[case::two_of_them("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")]
#[case::two_different_ones("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n")]
#[case::none("Transfer-Encoding:\r\n")]
#[case::a_space_before_the_colon("Transfer-Encoding : chunked\r\n")]
#[case::a_tab_before_the_colon("Transfer-Encoding\t: chunked\r\n")]
#[case::a_vertical_tab("Transfer-Encoding: \x0bchunked\r\n")]
#[case::on_a_folded_line("Transfer-Encoding:\r\n chunked\r\n")]
#[case::folded_into_another_line("X-A: b\r\n Transfer-Encoding: chunked\r\n")]
#[case::after_a_bare_lf_and_with_a_length("X-A: b\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n")]
#[case::after_a_bare_cr("X-A: b\rTransfer-Encoding: chunked\r\n")]
#[tokio::test]
async fn a_transfer_coding_that_can_be_read_in_two_ways_is_rejected(#[case] lines: &str) {
    let target = Target::new().await;
    target.assert_refused(&format!("{}0\r\n\r\n", target.head(lines))).await;
}

#[rstest]
#[case::a_negative_size("-1\r\n")]
#[case::a_hexadecimal_prefix("0x2\r\n{}\r\n0\r\n\r\n")]
#[case::a_size_that_overflows("10000000000000002\r\n{}\r\n0\r\n\r\n")]
#[case::no_size("\r\n{}\r\n0\r\n\r\n")]
#[case::an_extension_without_a_size(";a=b\r\n0\r\n\r\n")]
#[case::a_size_that_is_no_number("two\r\n{}\r\n0\r\n\r\n")]
#[case::two_sizes("2 2\r\n{}\r\n0\r\n\r\n")]
#[case::a_space_before_the_size(" 2\r\n{}\r\n0\r\n\r\n")]
#[case::lf_only("2\n{}\n0\n\n")]
#[case::lf_after_the_chunk("2\r\n{}\n0\r\n\r\n")]
#[case::nothing_after_the_chunk("2\r\n{}0\r\n\r\n")]
#[case::more_than_the_size("2\r\n{} \r\n0\r\n\r\n")]
#[case::lf_in_an_extension("2;a\n{}\r\n0\r\n\r\n")]
#[case::cr_in_an_extension("2;a\rb\r\n{}\r\n0\r\n\r\n")]
#[case::nul_in_an_extension("2;a\0b\r\n{}\r\n0\r\n\r\n")]
#[case::cr_in_a_trailer("2\r\n{}\r\n0\r\nA: b\rC\r\n\r\n")]
#[tokio::test]
async fn chunks_that_can_be_read_in_two_ways_are_rejected(#[case] chunks: &str) {
    let target = Target::new().await;
    target.assert_refused(&format!("{}{chunks}", target.head("Transfer-Encoding: chunked\r\n"))).await;
}

#[rstest]
#[case::a_space_in_a_name("X A: b\r\n")]
#[case::a_line_without_a_colon("nonsense\r\n")]
#[case::an_empty_name(": b\r\n")]
#[case::a_nul("X-A: b\0\r\n")]
#[case::a_second_host("Host: test\r\n")]
#[tokio::test]
async fn a_head_that_can_be_read_in_two_ways_is_rejected(#[case] lines: &str) {
    let target = Target::new().await;
    target.assert_refused(&target.head(lines)).await;
}

/// For the library, everything after such a head is its body.
#[rstest]
#[case::in_full("Connection: upgrade\r\nUpgrade: websocket\r\n")]
#[case::with_a_length("Connection: upgrade\r\nUpgrade: WebSocket\r\nContent-Length: 0\r\n")]
#[case::that_nobody_asked_to_forward("Upgrade: websocket\r\n")]
#[tokio::test]
async fn a_websocket_is_rejected_before_its_body_is_read(#[case] lines: &str) {
    let target = Target::new().await;

    let answers = target.send(&target.head(lines)).await;

    assert_eq!(statuses(&answers), ["400"], "{answers}");
    assert!(answers.contains("this service does not support websockets"), "{answers}");
    target.assert_nothing_happened(&answers).await;
}

#[rstest]
#[case::no_host("POST {path} HTTP/1.1\r\n{requester}\r\n")]
#[case::a_malformed_host("POST {path} HTTP/1.1\r\nHost: a b\r\n{requester}\r\n")]
#[case::a_user_before_the_host("POST {path} HTTP/1.1\r\nHost: test@other\r\n{requester}\r\n")]
#[case::another_host_in_the_url("POST http://other{path} HTTP/1.1\r\nHost: test\r\n{requester}\r\n")]
#[case::a_host_for_a_url("POST other:80 HTTP/1.1\r\nHost: test\r\n{requester}\r\n")]
#[case::two_spaces("POST  {path} HTTP/1.1\r\nHost: test\r\n{requester}\r\n")]
#[case::a_space_in_the_path("POST {path} x HTTP/1.1\r\nHost: test\r\n{requester}\r\n")]
#[case::a_nul_in_the_path("POST {path}\0 HTTP/1.1\r\nHost: test\r\n{requester}\r\n")]
#[case::an_older_version("POST {path}\r\n")]
#[case::a_version_in_between("POST {path} HTTP/1.2\r\nHost: test\r\n{requester}\r\n")]
#[case::the_next_version("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")]
#[case::chunks_in_http_1_0(
    "POST {path} HTTP/1.0\r\nConnection: keep-alive\r\n{requester}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
)]
#[case::no_length_in_http_1_0("POST {path} HTTP/1.0\r\nConnection: keep-alive\r\n{requester}\r\n")]
#[tokio::test]
async fn a_request_line_that_can_be_read_in_two_ways_is_rejected(#[case] request: &str) {
    let target = Target::new().await;
    let path = format!("{}:batchDelete", target.path());
    let request = request.replace("{path}", &path).replace("{requester}", &target.requester());
    target.assert_refused(&request).await;
}

#[tokio::test]
async fn a_rejected_head_ends_its_connection_however_long_its_body_is() {
    let target = Target::new().await;
    let head = format!("POST {} HTTP/1.1\r\nHost: a b\r\n{}", target.path(), target.requester());
    let body = "x".repeat(20_000);
    for body in [
        format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
        format!("Content-Length: {}\r\n\r\n{body}", body.len()),
    ] {
        target.assert_refused(&format!("{head}{body}")).await;
    }
}

#[tokio::test]
async fn a_second_requester_after_a_bare_lf_is_a_second_requester() {
    let target = Target::new().await;
    let lines = format!("Connection: close\r\nX-A: b\n{}", target.requester());

    let answers = target.send(&target.head(&lines)).await;

    assert_eq!(statuses(&answers).first(), Some(&"401"), "{answers}");
    target.assert_nothing_happened(&answers).await;
}

#[tokio::test]
async fn chunks_are_the_last_call_of_their_connection() {
    let target = Target::new().await;
    let other = target.service.world.contact(target.family.sub_customer).await;
    let body = body(&[other]);
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());

    let answers = target.send(&format!("{}{chunks}", target.head("Transfer-Encoding: chunked\r\n"))).await;

    assert_eq!(statuses(&answers).first(), Some(&"200"), "{answers}");
    assert_eq!(target.service.world.deleted(Resource::Contact, &[other, target.contact]).await, [other]);
    assert_eq!(target.service.world.operations().await, 1);
}

/// The library takes everything before the next empty line for a trailer, and the call for a valid one.
#[rstest]
#[case::at_the_end("\n")]
#[case::in_a_trailer("A: b\n\n")]
#[tokio::test]
async fn nothing_is_executed_after_chunks_that_end_with_a_bare_lf(#[case] end: &str) {
    let target = Target::new().await;
    let other = target.service.world.contact(target.family.sub_customer).await;
    let body = body(&[other]);
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n{end}GET / HTTP/1.1\r\nHost: test\r\n\r\n", body.len());

    let answers = target.send(&format!("{}{chunks}", target.head("Transfer-Encoding: chunked\r\n"))).await;

    assert_eq!(statuses(&answers).iter().filter(|status| **status == "200").count(), 1, "{answers}");
    assert_eq!(target.service.world.deleted(Resource::Contact, &[other, target.contact]).await, [other]);
    assert_eq!(target.service.world.operations().await, 1);
}

#[tokio::test]
async fn a_call_that_asks_to_close_is_the_last_of_its_connection() {
    let target = Target::new().await;

    let answers = target.send(&format!("{}{{}}", target.head("Connection: close\r\nContent-Length: 2\r\n"))).await;

    assert_eq!(statuses(&answers).first(), Some(&"400"), "{answers}");
    target.assert_nothing_happened(&answers).await;
}

/// The library would say that the connection is upgraded, and close it.
#[tokio::test]
async fn a_call_that_asks_for_another_protocol_is_the_last_of_its_connection() {
    let target = Target::new().await;
    let lines = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 2\r\n";

    let answers = target.send(&format!("{}{{}}", target.head(lines))).await;

    assert_eq!(statuses(&answers).first(), Some(&"400"), "{answers}");
    let heads = answers.to_lowercase();
    assert!(heads.contains("\r\nconnection: close\r\n") && !heads.contains("upgrade"), "{answers}");
    target.assert_nothing_happened(&answers).await;
}

#[tokio::test]
async fn the_body_of_a_get_is_not_a_call() {
    let target = Target::new().await;
    let hidden = target.deletion(target.contact).len();
    let request = format!(
        "GET /api/v2/global/call/{} HTTP/1.1\r\nHost: test\r\n{}Connection: close\r\nContent-Length: {hidden}\r\n\r\n",
        Uuid::now_v7(),
        target.requester()
    );

    let answers = target.send(&request).await;

    assert_eq!(statuses(&answers), ["404"], "{answers}");
    target.assert_nothing_happened(&answers).await;
}

/// Also if the answer needs no waiting, as for an unknown route.
#[rstest]
#[case::unknown("/api/v2/unknown")]
#[case::status("/api/v2/global/call/01a204a8-66b2-716a-b4e6-6df977a9d5ec")]
#[case::details("/api/v3/global/call/01a204a8-66b2-716a-b4e6-6df977a9d5ec")]
#[case::list("/api/v3/global/call")]
#[tokio::test]
async fn a_get_with_malformed_chunks_is_rejected(
    #[case] path: &str,
    #[values("\0", "zz\r\n", "1\r\n{}\r\n")] chunks: &str,
) {
    let target = Target::new().await;
    let head = format!("GET {path} HTTP/1.1\r\nHost: test\r\n{}", target.requester());

    let answers = target.send(&format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunks}")).await;

    assert_eq!(statuses(&answers).first(), Some(&"400"), "{answers}");
    target.assert_nothing_happened(&answers).await;
}

/// The rest of such a body may never arrive, or never end.
#[tokio::test]
async fn chunks_that_nobody_reads_do_not_keep_their_connection() {
    let target = Target::new().await;
    let head = format!("POST {}:batchDelete HTTP/1.1\r\nHost: test\r\n", target.path());

    let answers = target.send(&format!("{head}Transfer-Encoding: chunked\r\n\r\nfffffff\r\n")).await;

    assert_eq!(statuses(&answers), ["401"], "{answers}");
    target.assert_nothing_happened(&answers).await;
}
