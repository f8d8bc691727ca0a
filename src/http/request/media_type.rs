//! The media type and coding of a body.

use actix_web::http::header::{self, HeaderMap, HeaderValue};

use crate::error::{Code, Error};

/// Accepts JSON without a content coding. A missing `Content-Type` counts as JSON.
pub fn require_json(headers: &HeaderMap) -> Result<(), Error> {
    let is_coding = |coding: &&HeaderValue| !coding.as_bytes().eq_ignore_ascii_case(b"identity");
    if let Some(coding) = headers.get_all(header::CONTENT_ENCODING).find(is_coding) {
        return Err(unsupported(&format!("Content-Encoding is {}", quoted(coding))));
    }
    let mut values = headers.get_all(header::CONTENT_TYPE);
    match (values.next(), values.next()) {
        (None, _) => Ok(()),
        (Some(value), None) if is_json(value) => Ok(()),
        (Some(value), None) => Err(unsupported(&format!("Content-Type is {}", quoted(value)))),
        (Some(_), Some(_)) => Err(unsupported("Content-Type was sent twice")),
    }
}

/// A 415 that names the header and what is wrong with it.
fn unsupported(problem: &str) -> Error {
    let message = format!("{} {problem}.", Code::UNSUPPORTED_MEDIA_TYPE.message());
    Error::Malformed(Code::UNSUPPORTED_MEDIA_TYPE, message)
}

/// Quotes the value of a header for a message: shortened, and without control characters.
fn quoted(value: &HeaderValue) -> String {
    const MAX_LENGTH: usize = 100;

    let printable = |byte: &u8| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '?' };
    let text: String = value.as_bytes().iter().take(MAX_LENGTH).map(printable).collect();
    match value.len() {
        0 => "empty".to_owned(),
        length if length > MAX_LENGTH => format!("`{text}…`"),
        _ => format!("`{text}`"),
    }
}

/// The parser refuses white space before the parameters, so they are cut off first.
fn is_json(content_type: &HeaderValue) -> bool {
    let essence = content_type.to_str().ok().and_then(|text| text.split(';').next());
    let media_type = essence.and_then(|essence| essence.trim().parse::<mime::Mime>().ok());
    media_type.is_some_and(|media_type| {
        media_type.essence_str() == mime::APPLICATION_JSON || media_type.suffix() == Some(mime::JSON)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_that_is_not_read_is_told() {
        let refusal = |lines: &[(header::HeaderName, &[u8])]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(name.clone(), HeaderValue::from_bytes(value).unwrap());
            }
            let error = require_json(&headers).unwrap_err();
            assert_eq!(error.code_name(), "UNSUPPORTED_MEDIA_TYPE");
            error.message().to_owned()
        };
        let of_type = |value: &[u8]| refusal(&[(header::CONTENT_TYPE, value)]);
        let sentence = "The body must be JSON (application/json), without a content coding.";

        assert_eq!(of_type(b"text/plain"), format!("{sentence} Content-Type is `text/plain`."));
        assert_eq!(of_type(b""), format!("{sentence} Content-Type is empty."));
        assert_eq!(of_type("a\tb\u{e4}\u{9b}".as_bytes()), format!("{sentence} Content-Type is `a?b????`."));
        assert_eq!(of_type(&[b'x'; 100]), format!("{sentence} Content-Type is `{}`.", "x".repeat(100)));
        assert_eq!(of_type(&[b'x'; 60_000]), format!("{sentence} Content-Type is `{}…`.", "x".repeat(100)));
        let twice: [(_, &[u8]); 2] = [(header::CONTENT_TYPE, b"text/plain"), (header::CONTENT_TYPE, b"text/plain")];
        assert_eq!(refusal(&twice), format!("{sentence} Content-Type was sent twice."));
        let codings: [(_, &[u8]); 2] = [(header::CONTENT_ENCODING, b"identity"), (header::CONTENT_ENCODING, b"gzip")];
        assert_eq!(refusal(&codings), format!("{sentence} Content-Encoding is `gzip`."));
    }
}
