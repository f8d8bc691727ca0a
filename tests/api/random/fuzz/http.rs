//! Bytes of every kind, written to the port of the calls.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Instant;

use aws_lc_rs::hmac::HMAC_SHA256;
use uuid::Uuid;

use super::answer::Seen;
use super::call::{self, Lines};
use super::target::{Target, send};
use super::{seed, try_cases, variable};
use crate::security::jwt::TestFile;
use crate::security::jwt::token::{sign_with_secret, token};
use crate::support::world::Family;

const CASES: u32 = 400;
const THREADS: u32 = 3;

/// The memory that a run may add to the process, and the highest memory allowed, in KiB.
const MOST_GROWTH: u64 = 8 * 1024;
const MOST_MEMORY: u64 = 512 * 1024;

/// Codes that must be seen. Otherwise the cases did not reach the code that returns them.
const MUST_BE_SEEN: [&str; 10] = [
    "BAD_REQUEST",
    "UNAUTHORIZED",
    "NOT_FOUND",
    "METHOD_NOT_ALLOWED",
    "PAYLOAD_TOO_LARGE",
    "UNSUPPORTED_MEDIA_TYPE",
    "CUSTOMER_1002",
    "problem CUSTOMER_1002",
    "GLOBAL_1003",
    "",
];

/// The number of bytes that a test writes.
#[derive(Clone, Copy)]
struct Extent {
    /// The lines of heads in the corpus.
    lines: Lines,
    /// The number of random cases, which follow the corpus.
    cases: u32,
}

const SHORT: Extent = Extent { lines: Lines::EachOnce, cases: CASES };

/// Writes the corpus. After one with [`Lines::EachPair`], caches are filled and the allocator has settled. So memory can be
/// measured.
fn write_corpus(target: &Target, lines: Lines) -> Seen {
    let mut seen = Seen::new();
    for bytes in call::corpus(&target.known, lines) {
        let answered = send(target.process.address, &bytes);
        seen.append(&mut answered.unwrap_or_else(|problem| panic!("{problem}: {bytes:?}")));
    }
    seen
}

/// Writes this many random cases, by a few clients at once.
fn write_cases(target: &Target, cases: u32, seed: u64) -> Seen {
    let seen = Mutex::new(Seen::new());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (seen, known, address) = (&seen, &target.known, target.process.address);
            scope.spawn(move || {
                let share = (cases.div_ceil(THREADS), seed.wrapping_add(u64::from(thread)));
                try_cases("bytes on a connection", share, call::bytes(known), |bytes| {
                    seen.lock().unwrap().append(&mut send(address, &bytes)?);
                    Ok(())
                });
            });
        }
    });
    seen.into_inner().unwrap()
}

async fn fuzz(mut target: Target, Extent { lines, cases }: Extent, owner: (&str, &str)) {
    let (before, seed, began) = (target.world.fingerprint().await, seed(), Instant::now());
    let (target_back, seen, memory) = tokio::task::spawn_blocking(move || {
        let mut seen = write_corpus(&target, lines);
        let memory = target.memory();
        seen.append(&mut write_cases(&target, cases, seed));
        (target, seen, memory)
    })
    .await
    .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    target = target_back;
    target.until_nothing_waits().await;

    assert_eq!(target.world.fingerprint().await, before, "something was deleted: FUZZ_SEED={seed}");
    assert!(seen.contains(&(202, String::new())), "nothing was accepted: {seen:?}");
    let codes: BTreeSet<_> = seen.iter().map(|(_, code)| code.as_str()).collect();
    for code in MUST_BE_SEEN {
        assert!(codes.contains(code), "no case came to `{code}`: {seen:?}");
    }
    if let (Some((first, _)), Some((last, highest))) = (memory, target.memory()) {
        println!("{cases} cases in {:?}, from {first} to {last} KiB, at most {highest} KiB", began.elapsed());
        let is_settled = matches!(lines, Lines::EachPair);
        assert!(!is_settled || last < first + MOST_GROWTH, "memory grows: {first} KiB, then {last} KiB");
        assert!(highest < MOST_MEMORY, "{highest} KiB");
    }
    target.assert_unharmed(owner).await;
}

async fn behind_a_gateway(extent: Extent) {
    let environment = [("CUSTOMER_DELETION__REQUESTER__HEADER__ACTOR_NAME", "X-Actor-Id")];
    let target = Target::start(&environment, |family| format!("X-Requester-Id: {}\r\n", family.sibling)).await;
    let owner = target.family.requester.to_string();
    fuzz(target, extent, ("X-Requester-Id", &owner)).await;
}

async fn with_tokens(extent: Extent) {
    let secret = TestFile::new([7; 32]);
    let environment = [
        ("CUSTOMER_DELETION__REQUESTER__SOURCE", "jwt"),
        ("CUSTOMER_DELETION__REQUESTER__JWT__HMAC_SECRET_FILE", secret.path().to_str().unwrap()),
        ("CUSTOMER_DELETION__REQUESTER__JWT__ACTOR_CLAIM", "sub"),
    ];
    let bearer = |requester: Uuid| {
        let exp = crate::security::jwt::now() + 24 * 60 * 60;
        let claims = format!(r#"{{"exp":{exp},"customer_id":"{requester}","sub":"jane"}}"#);
        format!("Bearer {}", token(r#"{"alg":"HS256"}"#, &claims, sign_with_secret(HMAC_SHA256, &[7; 32])))
    };
    let identity = |family: Family| format!("Authorization: {}\r\n", bearer(family.sibling));
    let target = Target::start(&environment, identity).await;
    let owner = bearer(target.family.requester);
    fuzz(target, extent, ("Authorization", &owner)).await;
}

#[tokio::test]
async fn whatever_is_written_behind_a_gateway_is_answered_and_deletes_nothing() {
    behind_a_gateway(SHORT).await;
}

#[tokio::test]
async fn whatever_is_written_with_a_token_is_answered_and_deletes_nothing() {
    with_tokens(SHORT).await;
}

#[tokio::test]
#[ignore = "more of the same: takes minutes, FUZZ_CASES=100000 longer; cargo test --test api -- --ignored fuzz"]
async fn fuzzing_that_goes_on_for_long() {
    let cases = variable("FUZZ_CASES").unwrap_or(30_000);
    let extent = Extent { lines: Lines::EachPair, cases };
    behind_a_gateway(extent).await;
    with_tokens(extent).await;
}
