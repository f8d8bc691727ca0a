//! The user for whom the requester calls, as the gateway or the token names it.

use actix_web::http::header::{HeaderMap, HeaderName};

use crate::error::Error;
use crate::operation::Actor;

/// The actor of a call, or the reason why it is invalid. The reason is kept, because only a
/// deletion is refused for it.
#[derive(Clone)]
pub struct SentActor(Result<Option<Actor>, String>);

impl SentActor {
    pub const NONE: SentActor = SentActor(Ok(None));

    /// The value of the header. An empty one counts as missing, because some proxies cannot leave a
    /// header out.
    pub fn from_header(headers: &HeaderMap, name: &HeaderName) -> SentActor {
        let mut values = headers.get_all(name);
        let Some(value) = values.next() else { return SentActor::NONE };
        SentActor(match (value.to_str(), values.next()) {
            (_, Some(_)) => Err(format!("{name} was sent twice")),
            (Ok(""), None) => Ok(None),
            (text, None) => parse(text.unwrap_or_default()).map_err(|problem| format!("{name} {problem}")),
        })
    }

    /// The text of a claim, or the problem with it.
    pub fn from_claim(name: &str, text: Result<Option<&str>, String>) -> SentActor {
        SentActor(match text {
            Ok(None | Some("")) => Ok(None),
            Ok(Some(text)) => parse(text).map_err(|problem| format!("the claim `{name}` {problem}")),
            Err(problem) => Err(problem),
        })
    }

    /// Fails with 400 if it is invalid.
    pub fn parsed(self) -> Result<Option<Actor>, Error> {
        self.0.map_err(Error::bad_request)
    }
}

fn parse(text: &str) -> Result<Option<Actor>, String> {
    let actor = Actor::new(text).ok_or("must have 1 to 255 printable ASCII characters, and no space at either end")?;
    Ok(Some(actor))
}
