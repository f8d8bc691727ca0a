//! Checks every line that the services under test log, in the whole run.

use std::io::{self, Write};
use std::sync::{LazyLock, Mutex};

use customer_deletion::config::{LogSettings, Settings};
use customer_deletion::telemetry;
use memchr::memmem::Finder;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

/// Texts that no line may contain: parts of rows that the tests write, of bodies, of tokens, and of actors.
const NEVER: [&str; 9] =
    ["an-actor", "a@example.com", "+49151", "\"Bern\"", "A subscriber", "\"id\":[", "\\\"id\\\"", "eyJ", "Bearer "];

/// A search that is optimized, unlike `str::contains` in a build for tests. Every line of every service is searched.
static FINDERS: LazyLock<[Finder<'static>; 9]> = LazyLock::new(|| NEVER.map(Finder::new));

static OFFENCES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Checks everything that services in this process log from now on.
pub fn watch() {
    static WATCHED: LazyLock<()> = LazyLock::new(|| {
        let settings = LogSettings {
            level: "info,customer_deletion=trace,actix_web=debug,actix_http=debug".to_owned(),
            ..Settings::default().log
        };
        telemetry::log(&settings, Watch, false).expect("the level is one").init();
    });
    LazyLock::force(&WATCHED);
}

/// Checks one line of a log.
pub fn look_at(line: &str) {
    look_at_bytes(line.as_bytes());
}

fn look_at_bytes(line: &[u8]) {
    if offends(line) {
        OFFENCES.lock().unwrap().push(String::from_utf8_lossy(line).into_owned());
    }
}

/// Fails if any service has logged a forbidden text, in whichever test.
pub fn assert_clean() {
    // A copy, so that the lock is not poisoned for all other tests.
    let offences = OFFENCES.lock().unwrap().clone();
    assert!(offences.is_empty(), "the log has what it must not have: {offences:#?}");
}

fn offends(line: &[u8]) -> bool {
    FINDERS.iter().any(|part| part.find(line).is_some())
}

struct Watch;

impl Write for Watch {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        look_at_bytes(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Watch {
    type Writer = Watch;

    fn make_writer(&'w self) -> Watch {
        Watch
    }
}

#[test]
fn a_line_with_a_token_a_body_or_a_personal_field_is_noticed() {
    for line in [
        r#"{"authorization":"Bearer x"}"#,
        r#"{"message":"eyJhbGciOiJIUzI1NiJ9.e30.x"}"#,
        r#"{"body":"{\"id\":[\"6f2c5d1e\"]}"}"#,
        r#"{"email":"a@example.com"}"#,
    ] {
        assert!(offends(line.as_bytes()), "{line}");
    }
    assert!(!offends(
        br#"{"level":"INFO","message":"call","request_id":"01a20182-c1e4-727d-9221-b8f95068db52","ids":2}"#
    ));
}
