//! Ids in paths, bodies, headers and tokens.

use uuid::Uuid;

use crate::error::Error;

/// Parses the hyphenated form of a UUID. Other spellings, such as one with braces, are refused.
pub fn parse_id(text: &str) -> Option<Uuid> {
    if text.len() == 36 { Uuid::try_parse(text).ok() } else { None }
}

/// Parses an id in the path. `name` is for the error message.
pub fn path_id(name: &str, text: &str) -> Result<Uuid, Error> {
    parse_id(text).ok_or_else(|| Error::bad_request(format!("{name} in the path is not a UUID")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "6f2c5d1e-3b7a-4c19-9e8d-1a2b3c4d5e6f";

    #[test]
    fn only_the_usual_form_of_a_uuid_is_an_id() {
        assert!(parse_id(ONE).is_some());
        assert!(parse_id(&ONE.to_uppercase()).is_some());
        for text in [
            "",
            "6f2c5d1e3b7a4c199e8d1a2b3c4d5e6f",
            &format!("{{{ONE}}}"),
            &format!("urn:uuid:{ONE}"),
            &format!(" {ONE}"),
        ] {
            assert!(parse_id(text).is_none(), "{text}");
        }
    }
}
