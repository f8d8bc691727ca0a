//! Calls that are nearly valid, valid calls that were damaged, and random bytes.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use uuid::Uuid;

use super::corpus::{JOSE, Known, METHODS, NAMES, PARTS, QUERIES, VALUES, VERSIONS, bodies};

/// The bytes that are written to the service. They are shown as text.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 4000;
        let shown = self.0[..self.0.len().min(SHOWN)].escape_ascii();
        write!(formatter, "b\"{shown}\" ({} bytes)", self.0.len())
    }
}

pub fn bytes(known: &Known) -> impl Strategy<Value = Bytes> + use<> {
    prop_oneof![
        10 => near_calls(known),
        10 => odd_bodies(known),
        6 => damaged(near_calls(known)),
        6 => damaged(good_calls(known)),
        1 => vec(any::<u8>(), 0..300).prop_map(Bytes),
    ]
}

/// The lines of heads in the corpus.
#[derive(Clone, Copy)]
pub enum Lines {
    /// Each name and each value at least once.
    EachOnce,
    /// Each name with each value.
    EachPair,
}

/// Lines that change the answer: it is 202, a problem document, or 415.
const DECISIVE: [(&str, &str); 3] =
    [("Prefer", "respond-async"), ("Accept", "application/problem+json"), ("Content-Encoding", "gzip")];

impl Lines {
    fn write(self) -> Vec<Vec<u8>> {
        let pair = |name: &str, value: &str| line(name, value.as_bytes());
        match self {
            Lines::EachOnce => {
                let others = VALUES.iter().zip(NAMES.iter().cycle()).map(|(value, name)| pair(name, value));
                DECISIVE.map(|(name, value)| pair(name, value)).into_iter().chain(others).collect()
            }
            Lines::EachPair => {
                NAMES.iter().flat_map(|name| VALUES.iter().map(move |value| pair(name, value))).collect()
            }
        }
    }
}

/// The whole corpus. Each part of it stands in a call that is otherwise valid.
pub fn corpus(known: &Known, lines: Lines) -> Vec<Bytes> {
    let (customer, word, ids) = &known.rows[0];
    let head = |line: &[u8]| {
        let head = format!("DELETE /api/v2/customer/{customer}/{word} HTTP/1.1\r\nHost: test\r\n{}", known.identity);
        [head.as_bytes(), line].concat()
    };
    let good_body = serde_json::json!({ "id": ids }).to_string().into_bytes();
    let with_bodies = bodies(ids[0]).into_iter().flat_map(|body| {
        [Framing::Length, Framing::Chunks(700)].map(|framing| {
            let mut bytes = head(b"");
            framing.write(&mut bytes, &body);
            Bytes(bytes)
        })
    });
    let with_lines = lines.write().into_iter().map(|line| {
        let mut bytes = head(&line);
        Framing::Length.write(&mut bytes, &good_body);
        Bytes(bytes)
    });
    let good = targets(known).into_iter().map(|target| good_call(known, target));
    good.chain(with_bodies).chain(with_lines).collect()
}

fn good_call(known: &Known, (method, path, body): (&str, String, Vec<u8>)) -> Bytes {
    let (identity, length) = (&known.identity, body.len());
    let head = format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{identity}Content-Length: {length}\r\n\r\n");
    Bytes([head.into_bytes(), body].concat())
}

/// Valid calls of a requester that may not do them.
fn good_calls(known: &Known) -> BoxedStrategy<Bytes> {
    let known = known.clone();
    select(targets(&known)).prop_map(move |target| good_call(&known, target)).boxed()
}

/// Arbitrary bodies in calls that are otherwise valid, so that the service reads the list to its end.
fn odd_bodies(known: &Known) -> BoxedStrategy<Bytes> {
    let identity = known.identity.clone();
    let lists: Vec<_> = targets(known).into_iter().filter(|(_, _, body)| !body.is_empty()).collect();
    (select(lists), prop_oneof![3 => Just(Vec::new()), 1 => header_lines()], bodies_of(known), framings())
        .prop_map(move |((method, path, _), line, body, framing)| {
            let head = format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{identity}");
            let mut bytes = [head.into_bytes(), line].concat();
            framing.write(&mut bytes, &body);
            Bytes(bytes)
        })
        .boxed()
}

/// Every route, with a valid request.
fn targets(known: &Known) -> Vec<(&'static str, String, Vec<u8>)> {
    let mut targets = vec![
        ("GET", format!("/api/v2/global/call/{}", known.requester), Vec::new()),
        ("GET", format!("/api/v3/global/call/{}", known.requester), Vec::new()),
        ("GET", "/api/v3/global/call".to_owned(), Vec::new()),
        ("GET", format!("/api/v3/global/call/{}?view=full", known.requester), Vec::new()),
        ("GET", format!("/api/v3/global/call?customerId={0}&targetId={0}", known.requester), Vec::new()),
        ("GET", "/api/v3/global/call?createdAfter=2026-01-01T00:00:00Z&size=1".to_owned(), Vec::new()),
        ("POST", format!("/api/v3/global/call/{}:cancel", known.requester), Vec::new()),
    ];
    for (customer, word, ids) in &known.rows {
        let collection = format!("/api/v2/customer/{customer}/{word}");
        let list = serde_json::json!({ "id": ids }).to_string().into_bytes();
        targets.push(("DELETE", format!("{collection}/{}", ids[0]), Vec::new()));
        targets.push(("DELETE", collection.clone(), list.clone()));
        targets.push(("POST", format!("{collection}:batchDelete"), list));
    }
    targets
}

/// Calls made of one choice for each part. Any part may be invalid.
fn near_calls(known: &Known) -> BoxedStrategy<Bytes> {
    let head = (methods(), paths(known), select(QUERIES.to_vec()), select(VERSIONS.to_vec()));
    let lines = (hosts(), identities(known), vec(header_lines(), 0..5));
    (head, lines, bodies_of(known), framings())
        .prop_map(|((method, path, query, version), (host, identity, others), body, framing)| {
            let mut bytes = [method, b" ".to_vec(), path, query.as_bytes().to_vec(), b" ".to_vec()].concat();
            bytes.extend_from_slice(version.as_bytes());
            bytes.extend_from_slice(b"\r\n");
            bytes.extend(host);
            bytes.extend(identity);
            others.into_iter().for_each(|line| bytes.extend(line));
            framing.write(&mut bytes, &body);
            Bytes(bytes)
        })
        .boxed()
}

fn methods() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        20 => select(METHODS.to_vec()).prop_map(|method| method.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..40),
    ]
}

fn paths(known: &Known) -> impl Strategy<Value = Vec<u8>> + use<> {
    let good: Vec<String> = targets(known).into_iter().map(|(_, path, _)| path).collect();
    let some_id = known.rows[0].0;
    let part = prop_oneof![
        4 => select(PARTS.to_vec()).prop_map(str::to_owned),
        2 => select(vec!["api", "v2", "v3", "customer", "global", "call"]).prop_map(str::to_owned),
        2 => Just(some_id.to_string()),
        1 => any::<String>(),
    ];
    let joined = |parts: Vec<String>| format!("/{}", parts.join("/"));
    let below = move |parts: Vec<String>| format!("/api/v2/customer/{some_id}/contact/{}", parts.join("/"));
    prop_oneof![
        10 => select(good).prop_map(String::into_bytes),
        3 => vec(part.clone(), 0..7).prop_map(joined).prop_map(String::into_bytes),
        3 => vec(part.clone(), 1..3).prop_map(below).prop_map(String::into_bytes),
        2 => vec(part, 1..4).prop_map(|parts| format!("/api/{}", parts.join("/")).into_bytes()),
        1 => vec(any::<u8>(), 0..100),
        1 => (0_usize..40_000).prop_map(|length| [b"/api/".to_vec(), vec![b'a'; length]].concat()),
    ]
}

fn hosts() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        20 => Just(b"Host: test\r\n".to_vec()),
        1 => Just(Vec::new()),
        1 => values().prop_map(|value| line("Host", &value)),
    ]
}

/// The requester's own identity, an invalid one, or none.
fn identities(known: &Known) -> impl Strategy<Value = Vec<u8>> + use<> {
    let good = known.identity.clone().into_bytes();
    let damaged_identity = damaged(Just(Bytes(good.clone())).boxed()).prop_map(|bytes| bytes.0);
    prop_oneof![
        12 => Just(good.clone()),
        1 => Just([good.clone(), good].concat()),
        1 => Just(Vec::new()),
        2 => damaged_identity,
        1 => values().prop_map(|value| line("X-Requester-Id", &value)),
        3 => tokens().prop_map(|token| line("Authorization", &[b"Bearer ".to_vec(), token].concat())),
    ]
}

/// Strings that look like tokens but are invalid.
fn tokens() -> impl Strategy<Value = Vec<u8>> {
    let part = || {
        prop_oneof![
            6 => select(JOSE.to_vec()).prop_map(|text| URL_SAFE_NO_PAD.encode(text).into_bytes()),
            1 => vec(any::<u8>(), 0..60).prop_map(|bytes| URL_SAFE_NO_PAD.encode(bytes).into_bytes()),
            1 => vec(any::<u8>(), 0..60),
            1 => (0_usize..12_000).prop_map(|length| vec![b'A'; length]),
        ]
    };
    vec(part(), 0..6).prop_map(|parts| parts.join(&b'.'))
}

fn header_lines() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        12 => (select(NAMES.to_vec()), values()).prop_map(|(name, value)| line(name, &value)),
        1 => vec(any::<u8>(), 0..60),
        1 => (1_usize..200).prop_map(|count| b"X-A: b\r\n".repeat(count)),
        1 => (0_usize..20_000).prop_map(|length| line("X-Request-Id", &vec![b'x'; length])),
    ]
}

fn values() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => select(VALUES.to_vec()).prop_map(|value| value.as_bytes().to_vec()),
        1 => "[!-~]{1,300}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..80),
    ]
}

fn line(name: &str, value: &[u8]) -> Vec<u8> {
    [name.as_bytes(), b": ", value, b"\r\n"].concat()
}

fn bodies_of(known: &Known) -> impl Strategy<Value = Vec<u8>> + use<> {
    let id = known.rows[0].2[0];
    let corpus = bodies(id);
    // A large body costs more than the others, and is damaged less often.
    let short: Vec<_> = corpus.iter().filter(|body| body.len() < 2000).cloned().map(Bytes).collect();
    let ids = vec(prop_oneof![Just(id), any::<u128>().prop_map(Uuid::from_u128)], 0..20);
    prop_oneof![
        6 => Just(Vec::new()),
        4 => ids.prop_map(|ids| serde_json::json!({ "id": ids }).to_string().into_bytes()),
        8 => select(short.clone()).prop_map(|body| body.0),
        4 => damaged(select(short).boxed()).prop_map(|body| body.0),
        1 => select(corpus),
        2 => vec(any::<u8>(), 0..200),
    ]
}

/// The way in which the length of a body is given.
#[derive(Clone, Debug)]
enum Framing {
    Length,
    WrongLength(usize),
    Chunks(usize),
    BrokenChunks(Vec<u8>),
    Untold,
}

fn framings() -> impl Strategy<Value = Framing> {
    prop_oneof![
        16 => Just(Framing::Length),
        1 => (0_usize..3_000_000).prop_map(Framing::WrongLength),
        3 => (1_usize..2000).prop_map(Framing::Chunks),
        1 => vec(any::<u8>(), 0..60).prop_map(Framing::BrokenChunks),
        1 => Just(Framing::Untold),
    ]
}

impl Framing {
    fn write(&self, bytes: &mut Vec<u8>, body: &[u8]) {
        let chunked = b"Transfer-Encoding: chunked\r\n\r\n";
        match self {
            Framing::Length => bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).into_bytes()),
            Framing::WrongLength(length) => bytes.extend(format!("Content-Length: {length}\r\n\r\n").into_bytes()),
            Framing::Untold => bytes.extend(b"\r\n"),
            Framing::BrokenChunks(chunks) => {
                bytes.extend(chunked);
                bytes.extend(chunks);
            }
            Framing::Chunks(size) => {
                bytes.extend(chunked);
                for chunk in body.chunks(*size) {
                    bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                    bytes.extend([chunk, b"\r\n"].concat());
                }
                bytes.extend(b"0\r\n\r\n");
                return;
            }
        }
        bytes.extend(body);
    }
}

/// A change of a few bytes.
#[derive(Clone, Debug)]
enum Damage {
    Flip(Index, u8),
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
    Repeat(Index, usize, usize),
    Cut(Index),
}

fn damaged(strategy: BoxedStrategy<Bytes>) -> impl Strategy<Value = Bytes> {
    let splinter = prop_oneof![
        2 => vec(any::<u8>(), 1..6),
        2 => select(vec!["\r\n", "\n", "\r", "\0", "\r\n\r\n", ":", " ", "%", "\"", "{", "[", "\u{feff}", "\u{e9}"])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => select(VALUES.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
    ];
    let damage = prop_oneof![
        (any::<Index>(), 1_u8..).prop_map(|(place, mask)| Damage::Flip(place, mask)),
        (any::<Index>(), 1_usize..40).prop_map(|(place, length)| Damage::Remove(place, length)),
        (any::<Index>(), splinter).prop_map(|(place, bytes)| Damage::Insert(place, bytes)),
        (any::<Index>(), 1_usize..60, 1_usize..20)
            .prop_map(|(place, length, times)| Damage::Repeat(place, length, times)),
        any::<Index>().prop_map(Damage::Cut),
    ];
    (strategy, vec(damage, 1..4)).prop_map(|(Bytes(mut bytes), damages)| {
        damages.into_iter().for_each(|damage| damage.apply(&mut bytes));
        Bytes(bytes)
    })
}

impl Damage {
    fn apply(self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let within = |place: Index, length: usize| {
            let start = place.index(bytes.len());
            start..(start + length).min(bytes.len())
        };
        match self {
            Damage::Flip(place, mask) => {
                let place = place.index(bytes.len());
                bytes[place] ^= mask;
            }
            Damage::Remove(place, length) => drop(bytes.drain(within(place, length))),
            Damage::Insert(place, splinter) => {
                let place = place.index(bytes.len());
                bytes.splice(place..place, splinter);
            }
            Damage::Repeat(place, length, times) => {
                let range = within(place, length);
                let again = bytes[range.clone()].repeat(times);
                bytes.splice(range.end..range.end, again);
            }
            Damage::Cut(place) => bytes.truncate(place.index(bytes.len())),
        }
    }
}
