//! The answers that are allowed for any input: documents in the one documented form, and the three bare answers of the HTTP
//! library.

use std::collections::BTreeSet;

use serde_json::Value;
use uuid::Uuid;

/// Status and code of every answer. The code of a bare answer is empty.
pub type Seen = BTreeSet<(u16, String)>;

/// Checks the answers to the bytes that were sent on one connection.
pub fn check(sent: &[u8], received: &[u8]) -> Result<Seen, String> {
    let mut seen = Seen::new();
    let mut rest = received;
    while !rest.is_empty() {
        let (status, code, next) = first(sent, rest)
            .map_err(|problem| format!("{problem}: {}", rest[..rest.len().min(600)].escape_ascii()))?;
        if status != 100 {
            seen.insert((status, code));
        }
        rest = next;
    }
    Ok(seen)
}

fn first<'a>(sent: &[u8], received: &'a [u8]) -> Result<(u16, String, &'a [u8]), String> {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n").ok_or("a head without an end")?;
    let head = str::from_utf8(&received[..end]).map_err(|_| "a head that is not text")?;
    let rest = &received[end + 4..];
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.")).and_then(|line| line.get(2..5));
    let status: u16 = status.and_then(|status| status.parse().ok()).ok_or("no status line")?;
    if status == 100 {
        return Ok((status, String::new(), rest));
    }
    // 202 is returned only if the call asked for it, and only before its rules are checked.
    let accepted = status == 202 && sent.to_ascii_lowercase().windows(13).any(|window| window == b"respond-async");
    // The list of calls is the only request that may succeed without knowledge of any id.
    let listed = status == 200 && sent.windows(11).any(|window| window == b"global/call");
    if !accepted && !listed && !(400..500).contains(&status) {
        return Err(format!("status {status}"));
    }
    let headers: Vec<_> = lines.filter_map(|line| line.split_once(": ")).collect();
    let header =
        |name: &str| headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| *value);
    let length: usize = header("content-length").unwrap_or("0").parse().map_err(|_| "no length")?;
    let is_bare = length == 0 && header("request-id").is_none() && matches!(status, 400 | 408 | 431);
    if is_bare {
        return Ok((status, String::new(), rest));
    }
    let id = header("request-id").ok_or("no Request-Id")?;
    Uuid::parse_str(id).map_err(|_| "a Request-Id that is no UUID")?;
    // The answer to a HEAD has the length of the body that it leaves out.
    let is_without_body = rest.is_empty() || rest.starts_with(b"HTTP/1.");
    if is_without_body && sent.windows(4).any(|window| window == b"HEAD") {
        return Ok((status, "HEAD".to_owned(), rest));
    }
    let body = rest.get(..length).ok_or("an answer that is cut off")?;
    if accepted {
        let envelope: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let applied = header("preference-applied").unwrap_or_default();
        let waited = applied.strip_prefix("respond-async, wait=").is_some_and(|wait| wait.parse::<u8>().is_ok());
        let same = envelope["content"][0]["requestId"] == id && (applied == "respond-async" || waited);
        return if same {
            Ok((status, String::new(), &rest[length..]))
        } else {
            Err("not accepted as it should be".to_owned())
        };
    }
    if listed {
        let envelope: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let is_list = envelope["content"].is_array() && envelope["pageable"]["totalElements"].is_number();
        return if is_list { Ok((status, String::new(), &rest[length..])) } else { Err("no list".to_owned()) };
    }
    let is_problem = header("content-type") == Some("application/problem+json");
    if is_problem && sent.to_ascii_lowercase().windows(6).any(|window| window == b"accept") {
        return Ok((status, format!("problem {}", code_of_problem(body, status, id)?), &rest[length..]));
    }
    Ok((status, code_of_envelope(body)?, &rest[length..]))
}

fn code_of_problem(body: &[u8], status: u16, id: &str) -> Result<String, String> {
    let problem: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let names: Vec<_> = problem.as_object().ok_or("no object")?.keys().map(String::as_str).collect();
    let members = ["type", "title", "status", "detail", "instance", "errorCode", "failures"];
    let has_failures = problem["failures"].as_array().is_some_and(|failures| !failures.is_empty());
    let code = problem["errorCode"].as_str().unwrap_or_default();
    let is_right = names == members[..if has_failures { 7 } else { 6 }]
        && !matches!(code, "" | "GLOBAL_1001")
        && problem["type"] == format!("urn:problem-type:customer-deletion:{code}")
        && problem["status"] == status
        && problem["instance"] == format!("urn:uuid:{id}");
    if is_right { Ok(code.to_owned()) } else { Err(format!("not a problem: {problem}")) }
}

fn code_of_envelope(body: &[u8]) -> Result<String, String> {
    let envelope: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let members: Vec<_> = envelope.as_object().ok_or("no object")?.keys().map(String::as_str).collect();
    if members != ["errorCode", "errorMessage", "content", "pageable"] {
        return Err(format!("not an envelope, but {members:?}"));
    }
    let text = |member: &str| envelope[member].as_str();
    match (text("errorCode"), text("errorMessage"), text("content"), text("pageable")) {
        (Some(code @ ("" | "GLOBAL_1001")), ..) => Err(format!("code `{code}`")),
        (Some(code), Some(message), Some(""), Some("")) if !message.is_empty() => Ok(code.to_owned()),
        _ => Err("not the envelope of a failure".to_owned()),
    }
}
