//! Decides which documented rule refuses a deletion that deleted nothing.

use uuid::Uuid;

use crate::error::Code;
use crate::resource::Resource;

/// The facts that decide about a deletion, read in one snapshot of the database.
#[derive(Debug, Default)]
pub struct Findings {
    /// Steps from the customer up to the requester. `None` if the customer is unknown, deleted, or outside the
    /// requester's tree.
    pub depth: Option<i32>,
    /// The ids that no live row has.
    pub unknown_ids: Vec<Uuid>,
    /// The ids of live rows that are not the customer's, or must not be deleted by it.
    pub ineligible_ids: Vec<Uuid>,
    /// The ids to which a live row of the resource's reference refers.
    pub in_use_ids: Vec<Uuid>,
}

/// The largest number of ids that a refusal records and shows.
const MAX_FAILED_IDS: usize = 1000;

/// The code of the rule that refuses, and the first ids that it refuses. A rule about the customer names no id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: Code,
    pub failed_ids: Vec<Uuid>,
}

/// Checks in the order of the documents: the customer, unknown ids, ids that are not eligible, ids that are in use. Returns
/// `None` if no rule refuses.
pub fn judge(resource: Resource, findings: Findings) -> Option<Refusal> {
    let rules = resource.rules();
    let refusal = |code, mut failed_ids: Vec<Uuid>| {
        failed_ids.truncate(MAX_FAILED_IDS);
        Some(Refusal { code, failed_ids })
    };

    match findings.depth {
        None => return refusal(Code::CUSTOMER_1002, Vec::new()),
        Some(depth) if depth != rules.scope.depth() => return refusal(rules.out_of_scope, Vec::new()),
        Some(_) => {}
    }
    if !findings.unknown_ids.is_empty() {
        return refusal(rules.unknown, findings.unknown_ids);
    }
    if !findings.ineligible_ids.is_empty() {
        return refusal(rules.ineligible, findings.ineligible_ids);
    }
    match rules.reference {
        Some(reference) if !findings.in_use_ids.is_empty() => refusal(reference.in_use, findings.in_use_ids),
        Some(_) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME_ID: Uuid = Uuid::from_u128(1);
    const OTHER_ID: Uuid = Uuid::from_u128(2);

    fn in_scope(resource: Resource) -> Findings {
        Findings { depth: Some(resource.rules().scope.depth()), ..Findings::default() }
    }

    #[test]
    fn nothing_in_the_way_is_no_refusal() {
        for resource in Resource::ALL {
            assert_eq!(judge(resource, in_scope(resource)), None, "{resource:?}");
        }
    }

    #[test]
    fn no_more_ids_are_recorded_than_are_shown() {
        let unknown_ids: Vec<Uuid> = (0..100_000).map(Uuid::from_u128).collect();
        let first = unknown_ids[..1000].to_vec();
        let findings = Findings { unknown_ids, ..in_scope(Resource::Contact) };
        assert_eq!(judge(Resource::Contact, findings).unwrap().failed_ids, first);
    }

    #[test]
    fn the_customer_is_judged_before_its_ids() {
        for resource in Resource::ALL {
            let findings = Findings {
                depth: None,
                unknown_ids: vec![SOME_ID],
                ineligible_ids: vec![OTHER_ID],
                ..Findings::default()
            };
            let refusal = judge(resource, findings).unwrap();
            assert_eq!(refusal, Refusal { code: Code::CUSTOMER_1002, failed_ids: vec![] }, "{resource:?}");
        }
    }

    #[test]
    fn unknown_comes_before_not_yours_and_names_only_the_unknown() {
        let findings =
            Findings { unknown_ids: vec![SOME_ID], ineligible_ids: vec![OTHER_ID], ..in_scope(Resource::Contact) };
        let refusal = judge(Resource::Contact, findings).unwrap();
        assert_eq!(refusal, Refusal { code: Code::CUSTOMER_1017, failed_ids: vec![SOME_ID] });
    }

    #[test]
    fn a_foreign_product_is_not_found_even_when_it_is_allocated() {
        let findings =
            Findings { ineligible_ids: vec![SOME_ID], in_use_ids: vec![SOME_ID], ..in_scope(Resource::Product) };
        let refusal = judge(Resource::Product, findings).unwrap();
        assert_eq!(refusal, Refusal { code: Code::AUTH_1015, failed_ids: vec![SOME_ID] });
    }

    #[test]
    fn an_allocated_product_stays() {
        let findings = Findings { in_use_ids: vec![SOME_ID], ..in_scope(Resource::Product) };
        let refusal = judge(Resource::Product, findings).unwrap();
        assert_eq!(refusal, Refusal { code: Code::CUSTOMER_1046, failed_ids: vec![SOME_ID] });
    }

    #[test]
    fn every_other_depth_than_the_scope_is_refused() {
        for (resource, wrong_depths, code) in [
            (Resource::Contact, [0, 2], Code::AUTH_1010),
            (Resource::Address, [0, 2], Code::AUTH_1011),
            (Resource::ExternalParams, [1, 2], Code::CUSTOMER_1026),
            (Resource::Zone, [1, 2], Code::CUSTOMER_1030),
            (Resource::Product, [1, 2], Code::AUTH_1015),
        ] {
            for depth in wrong_depths {
                let refusal = judge(resource, Findings { depth: Some(depth), ..Findings::default() }).unwrap();
                assert_eq!(refusal, Refusal { code, failed_ids: vec![] }, "{resource:?} at depth {depth}");
            }
        }
    }
}
