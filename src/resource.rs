//! The resources and how they differ: the API documents as a table.

use crate::closed_set::closed_set;
use crate::error::Code;

closed_set! {
    /// A kind of row that can be deleted. URLs, operations and logs use its word.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Resource {
        Contact = "contact",
        Address = "address",
        ExternalParams = "external-params",
        Zone = "zone",
        Product = "product",
    }
}

/// The depth that the customer in the URL must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Depth 0: the requester itself.
    Requester,
    /// Depth 1: one level below the requester.
    SubCustomer,
}

impl Scope {
    /// Steps up `parent_id` from the customer to the requester.
    pub fn depth(self) -> i32 {
        match self {
            Scope::Requester => 0,
            Scope::SubCustomer => 1,
        }
    }
}

/// The row of a resource in the table of refusals.
#[derive(Debug)]
pub struct Rules {
    pub scope: Scope,
    /// The customer is in the requester's tree, but not at the depth of `scope`.
    pub out_of_scope: Code,
    /// No live row has the id.
    pub unknown: Code,
    /// The row is live, but is not the customer's or must not be deleted by it.
    pub ineligible: Code,
    /// Whether a list of ids can be deleted in one call.
    pub takes_list: bool,
    /// Whether `restore` can restore its rows.
    pub can_be_restored: bool,
    /// The rows that refer to the resource and forbid its deletion. `None` if no table has such
    /// rows.
    pub reference: Option<Reference>,
}

/// A table whose live rows refer to a resource. A foreign key forbids every writer to delete a row
/// in use. Such a deletion may wait for another service, so it never shares a statement.
#[derive(Debug)]
pub struct Reference {
    /// The word for one row of the table in the result of a purge. Rows that are not live are
    /// erased with the resource.
    pub word: &'static str,
    /// The refusal of a deletion while a live row refers to the resource.
    pub in_use: Code,
    /// The foreign key, which fails if a live row was inserted while the deletion ran.
    pub constraint: &'static str,
    /// The rows that stay, and why, for the result of a purge.
    pub left: &'static str,
    /// The way to erase the rows that stay, for the result of a purge.
    pub remedy: &'static str,
}

impl Resource {
    /// The refusals of a resource, as its "delete customer …" document has them.
    pub const fn rules(self) -> Rules {
        match self {
            Resource::Contact => listed(Scope::SubCustomer, Code::AUTH_1010, Code::CUSTOMER_1017),
            Resource::Address => listed(Scope::SubCustomer, Code::AUTH_1011, Code::CUSTOMER_1018),
            Resource::ExternalParams => listed(Scope::Requester, Code::CUSTOMER_1026, Code::CUSTOMER_1026),
            Resource::Zone => listed(Scope::Requester, Code::CUSTOMER_1030, Code::CUSTOMER_1030),
            Resource::Product => Rules {
                scope: Scope::Requester,
                out_of_scope: Code::AUTH_1015,
                unknown: Code::CUSTOMER_1047,
                ineligible: Code::AUTH_1015,
                takes_list: false,
                can_be_restored: false,
                reference: Some(Reference {
                    word: "allocation",
                    in_use: Code::CUSTOMER_1046,
                    constraint: "product_allocation_live_product_fkey",
                    left: "products left, because a live customer still has them",
                    remedy: "detach them first",
                }),
            },
        }
    }
}

/// The rules of a resource whose ids may be a list. No row refers to it. A row that belongs to
/// another customer is refused like a customer out of scope.
const fn listed(scope: Scope, out_of_scope: Code, unknown: Code) -> Rules {
    Rules {
        scope,
        out_of_scope,
        unknown,
        ineligible: out_of_scope,
        takes_list: true,
        can_be_restored: true,
        reference: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A refusal tells which customers use the one id of the call. For a list, it would need the
    /// customers of each id.
    #[test]
    fn a_resource_that_other_rows_refer_to_takes_no_list() {
        for resource in Resource::ALL {
            let rules = resource.rules();
            assert!(rules.reference.is_none() || !rules.takes_list, "{resource:?}");
        }
    }
}
