//! An enum whose variants have words: in URLs, SQL, logs and metrics. The list of its variants
//! cannot miss one.

/// The text is the word of no variant. A newer build may have written it.
#[derive(Debug, thiserror::Error)]
#[error("`{word}` is not a known {set}")]
pub struct UnknownWord {
    pub word: String,
    pub set: &'static str,
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
