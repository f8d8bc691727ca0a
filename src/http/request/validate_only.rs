//! `validateOnly=true` in the query of a deletion (AIP-163): every check runs, and nothing is
//! deleted.

use super::query::Parameters;
use crate::error::Error;

pub fn is_asked(query: &str) -> Result<bool, Error> {
    if query.is_empty() { Ok(false) } else { Parameters::parse(query)?.flag("validateOnly") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_true_asks_to_validate() {
        for (query, asked) in [
            ("", false),
            ("validateOnly=true", true),
            ("validateOnly=false", false),
            ("&&validateOnly=true&", true),
            ("trace=1&validateOnly=true&trace=2", true),
            // The same text, as any client may write it.
            ("validate%4Fnly=tru%65", true),
        ] {
            assert_eq!(is_asked(query).map_err(|error| error.message().to_owned()), Ok(asked), "{query}");
        }
    }

    #[test]
    fn other_parameters_are_ignored() {
        for query in
            ["validate", "x=validateOnly=maybe", "validateonly=maybe", "validateOnly[]=maybe", "%ff=%", "=&=", "?"]
        {
            assert_eq!(is_asked(query).map_err(|error| error.message().to_owned()), Ok(false), "{query}");
        }
    }

    #[test]
    fn everything_else_is_malformed_and_named() {
        for query in [
            "validateOnly",
            "validateOnly=",
            "validateOnly=True",
            "validateOnly=TRUE",
            "validateOnly=1",
            "validateOnly=0",
            "validateOnly=yes",
            "validateOnly=null",
            "validateOnly=true+",
            "validateOnly=%20true",
            "validateOnly=true;false",
            "validateOnly=true%00",
            "validateOnly=%ff",
            "validateOnly=true?",
            "validateOnly=true&validateOnly=true",
            "validateOnly=false&x=1&validateOnly=true",
            "validateOnly=true&validate%4Fnly=false",
        ] {
            let error = is_asked(query).expect_err(query);
            assert_eq!((error.code_name(), error.message().contains("validateOnly")), ("BAD_REQUEST", true), "{query}");
        }
    }
}
