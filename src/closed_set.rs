//! Enums whose variants have words: in URLs, SQL, logs and metrics. `ALL` has every variant.
//! [`Stored`] also holds a word that this build does not know.

use std::borrow::Cow;
use std::str::FromStr;

/// The text is the word of no variant. A newer build may have written it.
#[derive(Debug, thiserror::Error)]
#[error("`{word}` is not a known {set}")]
pub struct UnknownWord {
    pub word: String,
    pub set: &'static str,
}

/// A word as it is stored. During a rollout, a newer build stores words that this build does not
/// know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored<T> {
    Known(T),
    Unknown(String),
}

impl<T: FromStr> From<String> for Stored<T> {
    fn from(word: String) -> Stored<T> {
        match word.parse() {
            Ok(known) => Stored::Known(known),
            Err(_) => Stored::Unknown(word),
        }
    }
}

impl<T> Stored<T> {
    /// Returns the stored word. `word` gives the word of a known variant.
    pub fn into_word(self, word: impl FnOnce(T) -> &'static str) -> Cow<'static, str> {
        match self {
            Stored::Known(known) => word(known).into(),
            Stored::Unknown(word) => word.into(),
        }
    }
}

macro_rules! closed_set {
    ($(#[$meta:meta])* pub enum $Name:ident { $($(#[$variant_meta:meta])* $Variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        pub enum $Name { $($(#[$variant_meta])* $Variant,)+ }

        impl $Name {
            pub const ALL: [$Name; [$($word),+].len()] = [$($Name::$Variant),+];

            pub const fn word(self) -> &'static str {
                match self { $($Name::$Variant => $word,)+ }
            }
        }

        impl std::str::FromStr for $Name {
            type Err = $crate::closed_set::UnknownWord;

            fn from_str(word: &str) -> Result<$Name, Self::Err> {
                match word {
                    $($word => Ok($Name::$Variant),)+
                    _ => Err($crate::closed_set::UnknownWord { word: word.to_owned(), set: stringify!($Name) }),
                }
            }
        }
    };
}

pub(crate) use closed_set;
