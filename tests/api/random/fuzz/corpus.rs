//! Inputs that are known to have broken parsers.

use uuid::Uuid;

/// The requester, and the rows that it must not delete.
#[derive(Clone, Debug)]
pub struct Known {
    /// A customer that can see no row of the others.
    pub requester: Uuid,
    /// The customer of each resource's rows, the word of the resource, and its rows.
    pub rows: Vec<(Uuid, &'static str, Vec<Uuid>)>,
    /// The identity of the requester: a whole line of a head.
    pub identity: String,
}

/// Bodies that are invalid, or just valid.
pub fn bodies(id: Uuid) -> Vec<Vec<u8>> {
    let mut bodies: Vec<Vec<u8>> = TEXTS.iter().map(|text| text.replace("$ID", &id.to_string()).into_bytes()).collect();
    bodies.extend(BYTES.iter().map(|bytes| bytes.to_vec()));
    bodies.push([b"\xef\xbb\xbf", format!(r#"{{"id":["{id}"]}}"#).as_bytes()].concat());
    bodies.push(format!(r#"{{"id":["{id}"]}}"#).encode_utf16().flat_map(u16::to_le_bytes).collect());
    bodies.push(format!(r#"{{"id":["{id}"]}}"#).encode_utf16().flat_map(u16::to_be_bytes).collect());
    for depth in [120, 127, 128, 129, 1000, 100_000] {
        bodies.push("[".repeat(depth).into_bytes());
        bodies.push([br#"{"x":"#.to_vec(), b"[".repeat(depth), b"]".repeat(depth), b"}".to_vec()].concat());
        bodies.push(r#"{"id":"#.repeat(depth).into_bytes());
        bodies.push([br#"{"id":["#.to_vec(), b"[".repeat(depth)].concat());
    }
    bodies.push(format!(r#"{{"id":["{id}"],"x":{}}}"#, "9".repeat(100_000)).into_bytes());
    bodies.push(format!(r#"{{"{}":1,"id":["{id}"]}}"#, "k".repeat(100_000)).into_bytes());
    bodies.push(format!(r#"{{"id":["{id}"{}]}}"#, format!(r#","{id}""#).repeat(1000)).into_bytes());
    bodies.push(format!(r#"{{"id":[{}]}}"#, r#""x","#.repeat(20_000)).into_bytes());
    bodies.push([vec![b' '; 1024 * 1024], b"{}".to_vec()].concat());
    bodies
}

const TEXTS: [&str; 62] = [
    "",
    " ",
    "null",
    "true",
    "0",
    "-0",
    "-",
    "1e999999999",
    "-1e-999999999",
    "1.7976931348623159e309",
    "18446744073709551616",
    "0x10",
    "NaN",
    "Infinity",
    "'id'",
    "\"\"",
    "\"id\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "[]",
    "[null]",
    "[[\"$ID\"]]",
    "[{\"id\":[\"$ID\"]}]",
    "{",
    "}",
    "{}",
    "{}{}",
    "{} x",
    "{,}",
    "{\"id\"}",
    "{\"id\":}",
    "{\"id\":[}",
    "{\"id\":[\"$ID\"",
    "{\"id\":[\"$ID\"]",
    "{\"id\":[\"$ID\",]}",
    "{\"id\":[\"$ID\"],}",
    "{\"id\":[\"$ID\"]}}",
    "{\"id\":[\"$ID\"]}\u{0}",
    "{\"id\":[\"$ID\"]} // everything",
    "{\"id\":/**/[\"$ID\"]}",
    "{\"id\":[\"$ID\"],\"id\":[]}",
    "{\"id\":[],\"id\":[\"$ID\"]}",
    "{\"id\":[\"$ID\"],\"id\":[\"$ID\"]}",
    "{\"id\":[\"$ID\"],\"\\u0069d\":null}",
    "{\"\\u0069\\u0064\":[\"$ID\"]}",
    "{\"ID\":[\"$ID\"]}",
    "{\"id\":\"$ID\"}",
    "{\"id\":{\"0\":\"$ID\"}}",
    "{\"id\":[\"*\"]}",
    "{\"id\":[\"%\"]}",
    "{\"id\":[\"\"]}",
    "{\"id\":[null]}",
    "{\"id\":[0,-1,1e400]}",
    "{\"id\":[\"{$ID}\"]}",
    "{\"id\":[\"urn:uuid:$ID\"]}",
    "{\"id\":[\"$ID\\u0000\"]}",
    "{\"id\":[\"\\ud83d\"]}",
    "{\"id\":[\"00000000-0000-0000-0000-000000000000\"]}",
    "{\"id\":[\"$ID' or '1'='1\"]}",
    "{\"$id\":{\"$ne\":null},\"__proto__\":{\"id\":[\"$ID\"]}}",
    "{\"id\":[\"\u{ff10}\u{202e}\u{feff}$ID\"]}",
];

const BYTES: [&[u8]; 10] = [
    b"\0",
    b"\xff\xfe",
    b"{\"id\":[\"\xff\"]}",
    b"{\"id\":[\"\xc3\"]}",
    b"{\"id\":[\"\xc0\x80\"]}",
    b"{\"id\":[\"\xed\xa0\x80\"]}",
    b"{\"id\":[\"\xf4\x90\x80\x80\"]}",
    b"{\"\xe2\x82\":1}",
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    b"\x80\x81\x82",
];

pub const METHODS: [&str; 14] = [
    "DELETE", "DELETE", "DELETE", "POST", "POST", "GET", "HEAD", "PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT",
    "delete", "D\u{0}",
];

/// Values for a part of a path.
pub const PARTS: [&str; 22] = [
    "",
    ".",
    "..",
    "%2e%2e",
    "%2f",
    "%00",
    "%",
    "%zz",
    "%c0%ae",
    "%ff",
    "*",
    "contact",
    "contact:batchDelete",
    "contact%3AbatchDelete",
    "CONTACT",
    "contact;x=1",
    "{customer_id}",
    "00000000-0000-0000-0000-000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
    "'; drop table contact; --",
    "\u{e9}",
    "global/call",
];

pub const QUERIES: [&str; 24] = [
    "",
    "",
    "?",
    "?id=*",
    "?id[]=1&id[]=2",
    "?%00=%ff",
    "#fragment",
    "?a=b?c=d&&&=&customer_id=x",
    "?validateOnly=true",
    "?validateOnly",
    "?validateOnly=%ff%",
    "?validateOnly=true&&validate%4fnly=false",
    "?status=OPEN&resource=zone&page=99&size=100",
    "?page=4294967295&size=100",
    "?page=-0&size=%",
    "?status=&status=%00",
    "?resource=external%2dparams&page=\u{0661}",
    "?view=full",
    "?view=FULL&view",
    "?customerId=01946983-4c40-7e85-a42b-13860913b370&targetId=%ff",
    "?createdAfter=9999-12-31T23:59:59-01:00&createdBefore=0000-01-01T00:00:00%2B00:01",
    "?createdAfter=2026-12-31T23:59:60Z&createdBefore=2026-01-01T00:00:00+01:00",
    "?pageToken=AQAGRqqqqqqqAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "?pageToken=&page=0",
];

pub const VERSIONS: [&str; 8] =
    ["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9.9", "http/1.1"];

/// Names of headers that some code here reads.
pub const NAMES: [&str; 26] = [
    "Accept",
    "X-Actor-Id",
    "Prefer",
    "prefer",
    "Idempotency-Key",
    "Content-Type",
    "Content-Encoding",
    "Content-Length",
    "Transfer-Encoding",
    "X-Requester-Id",
    "x-requester-id",
    "X-Request-Id",
    "Request-Id",
    "traceparent",
    "tracestate",
    "baggage",
    "Expect",
    "Connection",
    "Upgrade",
    "Host",
    "Authorization",
    "TE",
    "Accept-Encoding",
    "X-Forwarded-For",
    "X-HTTP-Method-Override",
    "Cookie",
];

pub const VALUES: [&str; 60] = [
    "respond-async",
    "Respond-Async, wait=0",
    "respond-async, wait=1",
    "wait=1",
    "wait=\"1\", wait=99999999999999999999",
    "respond-async=\"\"; x=\"",
    "respond-async=1",
    "wait=\"10, respond-async",
    "x=\"\\\", respond-async\", respond-async;;=,,",
    ",;=\"\\,respond-async\\",
    "handling=lenient,\trespond-async\t;",
    "",
    " ",
    "\t",
    "k",
    "a,b",
    "\u{0}",
    "\u{7f}",
    "\u{e9}",
    "\"",
    "application/json",
    "application/json; charset=utf-16",
    "application/json; charset=",
    "application/problem+json",
    "application/problem+json;q=1.0, */*;q=0.001, ;q=,",
    "application/json;q=0, application/*;q=0.5",
    "*/*;q=\"\\\"\";q=2",
    "APPLICATION/JSON",
    "application/json, text/plain",
    "/",
    "a/",
    "/json",
    "text/plain",
    "multipart/form-data; boundary=x",
    "gzip",
    "identity",
    "chunked",
    "gzip, chunked",
    "0",
    "-1",
    "+2",
    "2, 2",
    "99999999999999999999",
    "18446744073709551615",
    "100-continue",
    "100-Continue, x",
    "close",
    "keep-alive, close",
    "upgrade",
    "websocket",
    "h2c",
    "Bearer",
    "Bearer  ",
    "Basic Og==",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "00-00000000000000000000000000000000-0000000000000000-00",
    "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
    "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-0\u{e9}",
    "a=1,b=2,a=3,=,,",
    "${jndi:ldap://127.0.0.1/a}",
];

/// The first two parts of malformed tokens.
pub const JOSE: [&str; 20] = [
    "{\"alg\":\"none\"}",
    "{\"alg\":\"HS256\"}",
    "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"\"}",
    "{\"alg\":\"RS256\",\"kid\":\"../../dev/null\"}",
    "{\"alg\":\"HS256\",\"alg\":\"none\"}",
    "{\"alg\":[\"HS256\"]}",
    "{\"alg\":null}",
    "{\"alg\":\"HS256\",\"crit\":[\"exp\"]}",
    "{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"\"}}",
    "{\"alg\":\"HS256\",\"x5c\":[\"\"]}",
    "{\"alg\":\"HS256\",\"zip\":\"DEF\"}",
    "{\"customer_id\":\"00000000-0000-0000-0000-000000000000\",\"exp\":9999999999}",
    "{\"customer_id\":null,\"exp\":1e400}",
    "{\"exp\":-1,\"nbf\":99999999999999999999999}",
    "{\"exp\":\"1\",\"aud\":[[[[[]]]]]}",
    "{\"\\ud800\":1}",
    "[]",
    "\"\"",
    "{",
    "",
];
