//! The cursor of a list: the position after a page, as a text that callers only send back.
//!
//! It is bound to the requester and the filters by a checksum. That is no secret: a forged token
//! could only name another position in the requester's own list.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::operation::{Filters, Position, Status};
use crate::resource::Resource;

/// Changes with the layout of a token.
const VERSION: u8 = 1;

const LENGTH: usize = 1 + 8 + 16 + 4 + 4;
const CHECKSUM_LENGTH: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageToken {
    /// The last operation of the page before.
    pub last: Position,
    /// The number of the page. The first is 0.
    pub page: u32,
    /// The length of the list, as the first page has it.
    pub total: u32,
}

impl PageToken {
    pub fn write(&self, filters: &Filters) -> String {
        let mut bytes = vec![VERSION];
        let microseconds = self.last.created_at.unix_timestamp_nanos() / 1000;
        bytes.extend(i64::try_from(microseconds).unwrap_or_default().to_be_bytes());
        bytes.extend(self.last.id.as_bytes());
        bytes.extend(self.page.to_be_bytes());
        bytes.extend(self.total.to_be_bytes());
        bytes.extend(checksum(&bytes, filters));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Returns `None` if the token is malformed, or belongs to another requester or to other
    /// filters.
    pub fn read(text: &str, filters: &Filters) -> Option<PageToken> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (token, sum) = bytes.split_at_checked(LENGTH)?;
        if token[0] != VERSION || sum != checksum(token, filters) {
            return None;
        }
        let microseconds = i64::from_be_bytes(token[1..9].try_into().ok()?);
        let created_at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(microseconds) * 1000).ok()?;
        Some(PageToken {
            last: Position { created_at, id: Uuid::from_slice(&token[9..25]).ok()? },
            page: u32::from_be_bytes(token[25..29].try_into().ok()?),
            total: u32::from_be_bytes(token[29..33].try_into().ok()?),
        })
    }
}

fn checksum(token: &[u8], filters: &Filters) -> [u8; CHECKSUM_LENGTH] {
    let Filters { requester_id, status, resource, customer_id, target_id, created_from, created_before } = filters;
    let time = |time: &Option<OffsetDateTime>| time.map(OffsetDateTime::unix_timestamp_nanos);
    let filters = format!(
        "{requester_id} {:?} {:?} {customer_id:?} {target_id:?} {:?} {:?}",
        status.map(Status::word),
        resource.map(Resource::word),
        time(created_from),
        time(created_before),
    );
    let whole = digest(&SHA256, &[token, filters.as_bytes()].concat());
    whole.as_ref()[..CHECKSUM_LENGTH].try_into().expect("a digest is longer")
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const TOKEN: PageToken = PageToken {
        last: Position { created_at: datetime!(2026-01-02 03:04:05.678901 UTC), id: Uuid::from_u128(7) },
        page: 3,
        total: 10_000,
    };

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let text = TOKEN.write(&Filters::default());
        assert_eq!(PageToken::read(&text, &Filters::default()), Some(TOKEN));
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{text}");
    }

    #[test]
    fn a_token_belongs_to_its_requester_and_filters() {
        let id = Some(Uuid::from_u128(1));
        let time = Some(datetime!(2026-01-01 0:00 UTC));
        let usual = Filters::default();
        let text = TOKEN.write(&usual);
        for other in [
            Filters { requester_id: Uuid::max(), ..usual },
            Filters { status: Some(Status::Open), ..usual },
            Filters { resource: Some(Resource::Zone), ..usual },
            Filters { customer_id: id, ..usual },
            Filters { target_id: id, ..usual },
            Filters { created_from: time, ..usual },
            Filters { created_before: time, ..usual },
        ] {
            assert_eq!(PageToken::read(&text, &other), None, "{other:?}");
            assert_eq!(PageToken::read(&TOKEN.write(&other), &other), Some(TOKEN), "{other:?}");
        }
    }

    #[test]
    fn a_damaged_token_is_not_read() {
        let text = TOKEN.write(&Filters::default());
        for end in 0..text.len() {
            assert_eq!(PageToken::read(&text[..end], &Filters::default()), None, "{end}");
            let mut damaged = text.clone().into_bytes();
            damaged[end] = if damaged[end] == b'A' { b'B' } else { b'A' };
            let damaged = String::from_utf8(damaged).unwrap();
            assert_eq!(PageToken::read(&damaged, &Filters::default()), None, "{damaged}");
        }
        for text in [format!("{text}A"), format!("{text}="), format!(" {text}"), "nonsense".to_owned()] {
            assert_eq!(PageToken::read(&text, &Filters::default()), None, "{text}");
        }
    }
}
