//! The kinds of rows and records that a purge erases.

use serde::{Deserialize, Serialize};

use crate::resource::Resource;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum Kind {
    Of(Resource),
    Allocation,
    Subscriber,
    SellPlan,
    Customer,
    Operation,
    /// The actor of an operation that stays.
    Actor,
    Restoration,
}

impl Kind {
    /// The rows that a customer has besides its resources. They are erased with it.
    pub const BELONGINGS: [Kind; 3] = [Kind::Allocation, Kind::Subscriber, Kind::SellPlan];

    fn all() -> impl Iterator<Item = Kind> {
        let rows = Resource::ALL.into_iter().map(Kind::Of).chain(Kind::BELONGINGS);
        rows.chain([Kind::Customer, Kind::Operation, Kind::Actor, Kind::Restoration])
    }

    pub fn word(self) -> &'static str {
        match self {
            Kind::Of(resource) => resource.word(),
            Kind::Allocation => "allocation",
            Kind::Subscriber => "subscriber",
            Kind::SellPlan => "sell-plan",
            Kind::Customer => "customer",
            Kind::Operation => "operation",
            Kind::Actor => "actor",
            Kind::Restoration => "restoration",
        }
    }
}

impl From<Kind> for &'static str {
    fn from(kind: Kind) -> &'static str {
        kind.word()
    }
}

impl TryFrom<String> for Kind {
    type Error = String;

    fn try_from(word: String) -> Result<Kind, String> {
        Kind::all().find(|kind| kind.word() == word).ok_or_else(|| format!("`{word}` is not a kind of rows"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_of_one_kind() {
        for kind in Kind::all() {
            assert_eq!(Kind::try_from(kind.word().to_owned()), Ok(kind));
        }
        assert!(Kind::try_from("everything".to_owned()).is_err());
    }

    #[test]
    fn every_statement_that_erases_belongings_has_a_kind() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/maintenance/sql");
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let of_belongings = files.filter(|name| name.starts_with("erase_") && name.ends_with("_of_customer.sql"));
        assert_eq!(of_belongings.count(), Kind::BELONGINGS.len());
    }

    #[test]
    fn rows_that_refer_to_a_resource_are_a_kind() {
        for reference in Resource::ALL.into_iter().filter_map(|resource| resource.rules().reference) {
            assert!(Kind::try_from(reference.word.to_owned()).is_ok(), "{}", reference.word);
        }
    }

    #[test]
    fn a_replay_finds_rows_of_every_kind() {
        let sql = include_str!("../sql/present_rows.sql");
        for kind in Kind::all() {
            assert!(sql.contains(&format!("$1 = '{}'", kind.word())), "{kind:?}");
        }
    }

    #[test]
    fn every_belonging_of_a_customer_is_found() {
        let sql = include_str!("../sql/rows_of_customer.sql");
        for kind in Kind::BELONGINGS {
            assert!(sql.contains(&format!("$1 = '{}'", kind.word())), "{kind:?}");
        }
    }
}
