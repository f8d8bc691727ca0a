//! The parts of the database that are verified one after the other.

use crate::resource::Resource;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Operations,
    Queue,
    Restorations,
    Rows(Resource),
    Allocations,
    Customers,
}

impl Part {
    /// The parts that grow with the number of calls. The deleted rows are verified with their
    /// operation.
    pub const RECORDS: [Part; 3] = [Part::Operations, Part::Queue, Part::Restorations];

    pub fn all() -> impl Iterator<Item = Part> {
        let rows = Resource::ALL.into_iter().map(Part::Rows);
        Part::RECORDS.into_iter().chain(rows).chain([Part::Allocations, Part::Customers])
    }

    pub fn word(self) -> &'static str {
        match self {
            Part::Operations => "operation",
            Part::Queue => "queue",
            Part::Restorations => "restoration",
            Part::Rows(resource) => resource.word(),
            Part::Allocations => "allocation",
            Part::Customers => "customer",
        }
    }

    /// Whether the ids begin with the time at which the rows were made.
    pub fn has_ids_in_order_of_time(self) -> bool {
        matches!(self, Part::Operations | Part::Restorations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_refer_to_a_resource_are_verified() {
        for reference in Resource::ALL.into_iter().filter_map(|resource| resource.rules().reference) {
            assert!(Part::all().any(|part| part.word() == reference.word), "{}", reference.word);
        }
    }
}
