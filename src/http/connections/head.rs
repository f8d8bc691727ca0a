//! Finds the end of a request's head, and how long its body is. The bytes may arrive in any pieces.
//!
//! This only paces what the HTTP library reads. The library itself refuses a head that is malformed
//! or ambiguous.

/// How the head announces the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// In bytes; 0 without a body.
    Length(u64),
    Chunks,
}

/// The longest part of a line that is kept until the line ends. A `Content-Length` fits, unless it
/// is mostly spaces.
const KEPT: usize = 256;

/// A head that is read.
pub struct Head {
    /// The beginning of a line whose end has not arrived.
    line: Vec<u8>,
    /// Whether the request line has begun. Empty lines may come before it.
    has_begun: bool,
    body: Body,
    /// The number of bytes so far.
    length: usize,
}

impl Default for Head {
    fn default() -> Head {
        Head { line: Vec::new(), has_begun: false, body: Body::Length(0), length: 0 }
    }
}

impl Head {
    /// Reads the next bytes. Returns how many of them belong to the head if it ends in them.
    pub fn read(&mut self, bytes: &[u8]) -> Option<(usize, Body)> {
        self.length += bytes.len();
        let mut begin = 0;
        while let Some(length) = bytes[begin..].iter().position(|byte| *byte == b'\n') {
            let end = begin + length;
            let is_last = if self.line.is_empty() {
                self.read_line(&bytes[begin..end])
            } else {
                self.keep(&bytes[begin..end]);
                let line = std::mem::take(&mut self.line);
                self.read_line(&line)
            };
            begin = end + 1;
            if is_last {
                return Some((begin, self.body));
            }
        }
        self.keep(&bytes[begin..]);
        None
    }

    /// The number of bytes that were read. Some of them may belong to the body, once the head has
    /// ended.
    pub fn length(&self) -> usize {
        self.length
    }

    fn keep(&mut self, part: &[u8]) {
        let free = KEPT.saturating_sub(self.line.len());
        self.line.extend_from_slice(&part[..part.len().min(free)]);
    }

    /// Returns whether the line ends the head.
    fn read_line(&mut self, line: &[u8]) -> bool {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return self.has_begun;
        }
        self.has_begun = true;
        if let Some(value) = value(line, b"content-length") {
            let length = str::from_utf8(value).ok().and_then(|text| text.trim().parse().ok());
            self.body = Body::Length(length.unwrap_or(0));
        } else if value(line, b"transfer-encoding").is_some() {
            self.body = Body::Chunks;
        }
        false
    }
}

/// The value of a header line, if it has this name.
fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (found, value) = line.split_at_checked(name.len())?;
    let value = value.strip_prefix(b":")?;
    found.eq_ignore_ascii_case(name).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The length of the head and its body's, read in pieces of this size.
    fn read_in_pieces(text: &str, size: usize) -> Option<(usize, Body)> {
        let mut head = Head::default();
        let mut before = 0;
        for piece in text.as_bytes().chunks(size) {
            if let Some((length, body)) = head.read(piece) {
                return Some((before + length, body));
            }
            before += piece.len();
        }
        None
    }

    #[test]
    fn the_end_and_the_body_are_found_in_pieces_of_any_size() {
        for (head, body) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Body::Length(0)),
            ("GET / HTTP/1.1\nHost: a\n\n", Body::Length(0)),
            ("\r\n\n\r\nGET / HTTP/1.0\r\n\r\n", Body::Length(0)),
            ("POST / HTTP/1.1\r\nContent-Length: 17\r\nHost: a\r\n\r\n", Body::Length(17)),
            ("POST / HTTP/1.1\r\ncOnTeNt-LeNgTh:017 \t\r\n\r\n", Body::Length(17)),
            ("POST / HTTP/1.1\r\nContent-Length: 17\n\r\n", Body::Length(17)),
            ("POST / HTTP/1.1\r\nX-Content-Length: 17\r\nContent-Lengths: 2\r\n\r\n", Body::Length(0)),
            ("POST / HTTP/1.1\r\nA: Content-Length: 17\r\n\r\n", Body::Length(0)),
            ("POST / HTTP/1.1\r\nContent-Length: two\r\n\r\n", Body::Length(0)),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", Body::Chunks),
            (&format!("POST / HTTP/1.1\r\nA: {}\r\nContent-Length: 17\r\n\r\n", "x".repeat(3000)), Body::Length(17)),
        ] {
            for size in 1..=head.len() + 20 {
                let text = format!("{head}Content-Length: 99\r\n\r\n");
                assert_eq!(read_in_pieces(&text, size), Some((head.len(), body)), "{head:?} by {size}");
            }
        }
    }

    #[test]
    fn a_head_without_its_empty_line_goes_on() {
        for head in ["", "\r\n\r\n\n", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r"] {
            assert_eq!(read_in_pieces(head, 7), None, "{head:?}");
        }
    }
}
