//! Holds `settings.toml` against the code: the same settings, their defaults and their ranges.

use std::collections::BTreeSet;

use super::tests::load;
use super::*;

/// The variable of each setting in the file, the value that the file shows, and its range if it is
/// a number.
struct Entry {
    variable: String,
    value: String,
    range: Option<(u128, u128)>,
}

/// A comment of words begins with `# `, and a setting without a default with `#`.
fn entries() -> Vec<Entry> {
    let (mut section, mut range, mut entries) = (String::new(), None, Vec::new());
    for line in SETTINGS_FILE.lines() {
        if let Some(text) = line.strip_prefix("# Range: ") {
            let mut words = text.split([' ', '.']).filter_map(|word| word.parse().ok());
            range = Some((words.next().expect(line), words.next().expect(line)));
        } else if let Some(name) = line.strip_prefix('[') {
            name.trim_end_matches(']').clone_into(&mut section);
        } else if let Some((name, value)) = line.trim_start_matches('#').split_once(" = ").filter(|_| !is_words(line)) {
            let (variable, value) = (variable(&format!("{section}.{name}")), value.trim_matches('"').to_owned());
            entries.push(Entry { variable, value, range: range.take() });
        }
    }
    entries
}

fn is_words(line: &str) -> bool {
    line.starts_with("# ")
}

/// The sections and settings that the code has in a section. serde lists them when it meets one
/// that it does not know.
fn fields(section: &str) -> Vec<String> {
    let problem = load(&[(&format!("{section}__UNKNOWN"), "x")]).unwrap_err().problem;
    let (_, known) = problem.split_once(", expected ").unwrap_or_else(|| panic!("{section}: {problem}"));
    known.split('`').skip(1).step_by(2).map(|name| format!("{section}__{}", name.to_uppercase())).collect()
}

#[test]
fn the_file_and_the_code_have_the_same_settings() {
    let sections = SETTINGS_FILE.lines().filter_map(|line| line.strip_prefix('[')?.strip_suffix(']')).map(variable);
    let sections: BTreeSet<String> = sections.chain([PREFIX.to_owned()]).collect();
    let fields = sections.iter().flat_map(|section| fields(section)).filter(|name| !sections.contains(name));
    let described: BTreeSet<String> = entries().into_iter().map(|entry| entry.variable).collect();
    assert_eq!(described, fields.collect());
}

/// Callers, gateways and operators rely on them.
const DEFAULTS: [&str; 29] = [
    "database.allow_owner = false",
    "database.max_connections = 8",
    "database.deadline_ms = 2500",
    r#"database.session_settings = "sent""#,
    "database.share_statements = true",
    r#"http.host = "0.0.0.0""#,
    "http.port = 8080",
    r#"http.allowed_origins = """#,
    "http.max_body_bytes = 1048576",
    "http.body_timeout_ms = 10000",
    "http.keep_alive_ms = 75000",
    "http.max_in_flight = 128",
    "http.drain_seconds = 15",
    r#"management.host = "0.0.0.0""#,
    "management.port = 8081",
    r#"requester.header.name = "X-Requester-Id""#,
    r#"requester.header.trusted_peers = """#,
    r#"requester.jwt.claim = "customer_id""#,
    "requester.jwt.refresh_seconds = 300",
    "deletion.max_ids = 1000",
    "queue.workers = 1",
    "queue.max_ids = 100000",
    "queue.max_body_bytes = 8388608",
    "queue.max_operations = 10000",
    "queue.run_timeout_seconds = 120",
    "queue.max_attempts = 8",
    "migration.patience_seconds = 300",
    r#"log.format = "json""#,
    r#"log.level = "info,actix_server=warn,rustls_platform_verifier=off""#,
];

#[test]
fn a_default_is_what_others_rely_on() {
    let (mut section, mut defaults) = ("", Vec::new());
    for line in SETTINGS_FILE.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if line.contains(" = ") {
            defaults.push(format!("{section}.{line}"));
        }
    }
    assert_eq!(defaults, DEFAULTS);
}

/// A default stands in the file only. The code reads it from there.
#[test]
fn every_value_that_the_file_shows_can_be_set() {
    for entry in entries() {
        let needed = ("CUSTOMER_DELETION__REQUESTER__RATE_PER_SECOND", "1");
        if let Err(error) = load(&[needed, (&entry.variable, &entry.value)]) {
            panic!("{error}");
        }
    }
}

#[test]
fn every_number_has_a_range() {
    let is_number = |entry: &Entry| entry.value.parse::<u64>().is_ok();
    let without: Vec<_> = entries().into_iter().filter(|entry| is_number(entry) != entry.range.is_some()).collect();
    assert!(without.is_empty(), "{:?}", without.iter().map(|entry| &entry.variable).collect::<Vec<_>>());
}

#[test]
fn a_number_in_its_range_is_taken_and_one_outside_of_it_is_refused_and_named() {
    for Entry { variable, range, .. } in entries() {
        let Some((least, most)) = range else { continue };
        let set = |value: i128| {
            let refused = load(&[&others(&variable)[..], &[(&variable, &value.to_string())]].concat()).err();
            refused.map(|error| error.to_string())
        };
        let (least, most) = (i128::try_from(least).unwrap(), i128::try_from(most).unwrap());
        for value in [least, most] {
            assert!(set(value).is_none_or(|refused| is_about_waits(&refused)), "{variable}: {:?}", set(value));
        }
        for value in [least - 1, most + 1] {
            let refused = set(value).unwrap_or_else(|| panic!("{variable}: {value} is accepted"));
            assert!(refused.starts_with(&format!("{variable}: ")) && !is_about_waits(&refused), "{refused}");
        }
    }
}

/// Settings with which both ends of the range of the given one are possible.
fn others(variable: &str) -> Vec<(&'static str, &'static str)> {
    let rate = ("CUSTOMER_DELETION__REQUESTER__RATE_PER_SECOND", "1");
    if variable.ends_with("RATE_BURST") { vec![rate] } else { Vec::new() }
}

/// The waits of a call and its drain also depend on each other. Those rules have tests of their
/// own.
fn is_about_waits(refused: &str) -> bool {
    refused.contains("gateways give up") || refused.contains("how long a call may wait")
}
