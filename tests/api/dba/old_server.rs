//! A PostgreSQL that is too old: every command names its version and the oldest supported one, and runs no statement on it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use rstest::rstest;
use secrecy::SecretString;

use crate::dba::roles::power::end_of_service;
use crate::support::TestService;
use crate::support::process::{command, output};

/// The messages by which a server accepts a session without a password, reports its version, and is ready for a query.
const GREETING: &[u8] =
    b"R\0\0\0\x08\0\0\0\0S\0\0\0\x18server_version\x0014.9\0K\0\0\0\x0c\0\0\0\x01\0\0\0\x01Z\0\0\0\x05I";

/// The start of the answer to a parameter that the server does not know.
const UNKNOWN: &[u8] = b"SFATAL\0VFATAL\0C42704\0Munrecognized configuration parameter \"idle_session_timeout\"\0\0";

#[derive(Clone, Copy, Debug)]
enum Age {
    /// It reports that it is PostgreSQL 14.9.
    Fourteen,
    /// It does not know the parameters of PostgreSQL 14, and so never reports its version.
    Older,
}

impl Age {
    fn refusal(self) -> String {
        let found = match self {
            Age::Fourteen => "PostgreSQL 14.9",
            Age::Older => "older than PostgreSQL 14",
        };
        format!("the server is {found}, and this service needs PostgreSQL 15 or newer")
    }
}

/// An old server. It records the types of the messages in a session.
struct OldServer {
    url: String,
    asked: Arc<Mutex<Vec<char>>>,
}

impl OldServer {
    fn start(age: Age) -> OldServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("postgres://somebody@{}/nothing?sslmode=disable", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<char>>>::default();
        let noted = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let noted = Arc::clone(&noted);
                thread::spawn(move || greet(stream, age, &noted));
            }
        });
        OldServer { url, asked }
    }

    #[track_caller]
    fn assert_asked_nothing(&self) {
        assert_eq!(*self.asked.lock().unwrap(), Vec::<char>::new());
    }
}

/// Hangs up at the first query. Each message has its length, which counts itself, before its text.
fn greet(mut stream: TcpStream, age: Age, asked: &Mutex<Vec<char>>) -> Option<()> {
    let parameters = String::from_utf8_lossy(&read_text(&mut stream)?).into_owned();
    if matches!(age, Age::Older) && parameters.contains("idle_session_timeout") {
        stream.write_all(b"E").ok()?;
        stream.write_all(&(UNKNOWN.len() as u32 + 4).to_be_bytes()).ok()?;
        return stream.write_all(UNKNOWN).ok();
    }
    stream.write_all(GREETING).ok()?;
    let mut kind = [0];
    stream.read_exact(&mut kind).ok()?;
    // The end of the session is not a query.
    if kind[0] != b'X' {
        asked.lock().unwrap().push(kind[0].into());
    }
    None
}

fn read_text(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut text = vec![0; u32::from_be_bytes(length) as usize - 4];
    stream.read_exact(&mut text).ok()?;
    Some(text)
}

const ID: &str = "ff74dca6-8e7f-4b85-a42b-13860913b370";

#[rstest]
#[case::migrate(&["migrate"])]
#[case::restore(&["restore", "--operation", ID])]
#[case::purge(&["purge", "--older-than", "90d"])]
#[case::hold(&["hold", "--customer", ID, "--reason", "case 12/34"])]
#[case::release(&["release", "--customer", ID, "--hold", ID])]
#[case::holds(&["holds"])]
#[case::operations(&["operations", "--customer", ID])]
#[case::verify(&["verify"])]
#[case::demo(&["demo", "--load"])]
fn a_command_names_the_version_and_asks_nothing(
    #[case] arguments: &[&str],
    #[values(Age::Fourteen, Age::Older)] age: Age,
) {
    let server = OldServer::start(age);
    let output = output(command(arguments).env("DATABASE_URL", &server.url));
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains(&age.refusal()), "{message}");
    server.assert_asked_nothing();
}

#[rstest]
#[case::as_any_role("false")]
#[case::also_where_owners_may_serve("true")]
fn the_service_does_not_start(#[case] allow_owner: &str, #[values(Age::Fourteen, Age::Older)] age: Age) {
    let server = OldServer::start(age);
    let (code, message) = end_of_service(&server.url, &[("CUSTOMER_DELETION__DATABASE__ALLOW_OWNER", allow_owner)]);
    assert_eq!(code, Some(1), "{message}");
    assert_eq!(message, format!("customer-deletion: CUSTOMER_DELETION__DATABASE__URL: {}\n", age.refusal()));
    server.assert_asked_nothing();
}

/// As after a start while the database was away.
#[rstest]
#[tokio::test]
async fn a_running_service_is_not_ready_and_says_why(#[values(Age::Fourteen, Age::Older)] age: Age) {
    let server = OldServer::start(age);
    let url = SecretString::from(server.url.clone());
    let service = TestService::start_with(|settings| settings.database.url = Some(url)).await;
    let ready = service.management("/health/ready").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text.contains(&age.refusal()), "{}", ready.text);
    server.assert_asked_nothing();
}

#[test]
fn the_demo_names_the_programs_that_are_too_old() {
    use std::os::unix::fs::PermissionsExt;
    let root = std::env::temp_dir().join(format!("customer-deletion-{}", uuid::Uuid::now_v7()));
    let folder = root.join("bin");
    std::fs::create_dir_all(&folder).unwrap();
    for program in ["initdb", "postgres"] {
        let path = folder.join(program);
        std::fs::write(&path, format!("#!/bin/sh\necho '{program} (PostgreSQL) 14.9'\n")).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut demo = command(&["demo", "--fresh", "--data-dir"]);
    let output = output(demo.arg(root.join("data")).env("CUSTOMER_DELETION_DEMO_PG_BIN", &folder));
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    for part in ["PostgreSQL 15 or newer", &format!("too old: PostgreSQL 14 in {}", folder.display())] {
        assert!(message.contains(part), "{message}");
    }
    std::fs::remove_dir_all(root).unwrap();
}
