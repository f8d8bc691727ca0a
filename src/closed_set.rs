//! An enum with the list of its variants. The list cannot miss one.

macro_rules! closed_set {
    ($(#[$meta:meta])* pub enum $Name:ident { $($(#[$variant_meta:meta])* $Variant:ident,)+ }) => {
        $(#[$meta])*
        pub enum $Name { $($(#[$variant_meta])* $Variant,)+ }

        impl $Name {
            pub const ALL: [$Name; [$(stringify!($Variant)),+].len()] = [$($Name::$Variant),+];
        }
    };
}

pub(crate) use closed_set;
