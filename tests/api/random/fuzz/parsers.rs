//! The parsers that can be called without a connection, and so with many more cases.

use customer_deletion::config::Settings;
use customer_deletion::error::Code;
use customer_deletion::operation::{IdempotencyKey, Status, TargetIds};
use customer_deletion::resource::Resource;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

use super::corpus::VALUES;
use super::{seed, try_cases, variable};
use crate::support::resources::word;

const CASES: u32 = 1_000;
const SETTINGS_CASES: u32 = 300;

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[ -~]{0,300}", "[!-~]{0,300}", select(VALUES.to_vec()).prop_map(str::to_owned)]
}

fn keys(cases: u32) {
    try_cases("keys", (cases, seed()), texts(), |text| {
        let is_key = (1..=255).contains(&text.len()) && text.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
        match IdempotencyKey::new(&text) {
            Some(key) if is_key && key.as_str() == text => Ok(()),
            None if !is_key => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

fn words(cases: u32) {
    let resources = Resource::ALL.map(word);
    let others = "Contact|SUCCESS|OPEN|success|AUTH_10(10|11)|[a-z_-]{0,12}";
    let words = format!("{}|{others}", resources.join("|"));
    try_cases("words", (cases, seed()), words.as_str(), |text| {
        let statuses = ["OPEN", "SUCCESS", "FAILURE", "INTERNAL_ERROR"];
        let agree = text.parse::<Resource>().is_ok() == resources.contains(&text.as_str())
            && text.parse::<Status>().is_ok() == statuses.contains(&text.as_str())
            && text.parse::<Code>().is_ok_and(|code| code.word() == text) == text.parse::<Code>().is_ok();
        if agree { Ok(()) } else { Err("taken for what it is not, or not for what it is".to_owned()) }
    });
}

/// Few different ids, so that many are repeated.
fn lists(cases: u32) {
    let ids = vec((0_u128..30).prop_map(Uuid::from_u128), 0..60);
    try_cases("lists", (cases, seed()), ids, |ids| {
        let expected: std::collections::BTreeSet<_> = ids.iter().copied().collect();
        let targets = TargetIds::new(ids).map(|targets| targets.as_slice().to_vec()).unwrap_or_default();
        if targets == Vec::from_iter(expected) { Ok(()) } else { Err(format!("{targets:?}")) }
    });
}

/// A setting is read, or rejected with its name. It never causes a panic.
fn settings(cases: u32) {
    let names = vec![
        "HTTP__PORT",
        "HTTP__HOST",
        "QUEUE__WORKERS",
        "HTTP__MAX_BODY_BYTES",
        "HTTP__BODY_TIMEOUT_MS",
        "HTTP__DRAIN_SECONDS",
        "DATABASE__URL",
        "DATABASE__DEADLINE_MS",
        "DATABASE__MAX_CONNECTIONS",
        "DELETION__MAX_IDS",
        "REQUESTER__SOURCE",
        "REQUESTER__RATE_PER_SECOND",
        "REQUESTER__DELETED_ROWS_PER_HOUR",
        "REQUESTER__HEADER__NAME",
        "REQUESTER__HEADER__ACTOR_NAME",
        "REQUESTER__HEADER__TRUSTED_PEERS",
        "REQUESTER__JWT__JWKS_URL",
        "REQUESTER__JWT__ISSUER",
        "REQUESTER__JWT__ACTOR_CLAIM",
        "REQUESTER__JWT__SCOPE_READ",
        "REQUESTER__JWT__SCOPE_DELETE",
        "REQUESTER__JWT__SCOPE_CLAIMS",
        "REQUESTER__JWT__REQUIRED_CLAIMS",
        "REQUESTER__JWT__REFRESH_SECONDS",
        "LOG__FORMAT",
        "LOG__LEVEL",
        "NO__SUCH__THING",
        "HTTP",
        "",
    ];
    let values = prop_oneof![
        texts(),
        select(vec!["header", "jwt", "10.0.0.0/8", "::/0", "0", "-1", "8080", "99999999999999999999", "1e9", "true"])
            .prop_map(str::to_owned),
    ];
    let variables = vec((select(names), values), 1..5);
    try_cases("settings", (cases, seed()), variables, |variables| {
        let environment =
            variables.into_iter().map(|(name, value)| (format!("CUSTOMER_DELETION__{name}"), value)).collect();
        let refused = Settings::from_environment(environment).and_then(|settings| {
            settings.requester.source()?;
            settings.database.connect_options().map(drop)
        });
        match refused {
            Err(error) if !error.setting.starts_with("CUSTOMER_DELETION") => Err(error.to_string()),
            Ok(()) | Err(_) => Ok(()),
        }
    });
}

#[test]
fn parsers_accept_valid_input_and_nothing_else() {
    keys(CASES);
    words(CASES);
    lists(CASES);
    settings(SETTINGS_CASES);
}

#[test]
#[ignore = "the same a hundred thousand times, or FUZZ_CASES: takes minutes; cargo test --test api -- --ignored fuzz"]
fn parsers_that_are_asked_for_long() {
    let cases = variable("FUZZ_CASES").unwrap_or(100_000);
    keys(cases);
    words(cases);
    lists(cases);
    settings(cases / 20);
}
