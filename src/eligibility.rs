//! Decides which documented rule refuses a deletion, from facts read in one snapshot.

use uuid::Uuid;

use crate::error::Code;
use crate::id_failure::IdFailure;
use crate::resource::{Resource, Rules};

/// The facts that decide about a deletion.
#[derive(Debug, Default)]
pub struct Findings {
    /// Steps from the customer up to the requester. `None` if the customer is unknown, deleted, or
    /// outside the requester's tree.
    pub depth: Option<i32>,
    /// The ids that no live row has.
    pub unknown_ids: Vec<Uuid>,
    /// The ids of live rows that are not the customer's, or must not be deleted by it.
    pub ineligible_ids: Vec<Uuid>,
    /// The ids to which a live row of the resource's reference refers.
    pub in_use_ids: Vec<Uuid>,
    /// The first 100 customers with such a live row, each once, in ascending order.
    pub in_use_by: Vec<Uuid>,
}

/// The largest number of ids that a refusal records and shows.
const MAX_FAILED_IDS: usize = 1000;

/// The code of the rule that refuses, and the first ids that it refuses. A rule about the customer
/// names no id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: Code,
    pub failed_ids: Vec<Uuid>,
    /// The first ids that any rule refuses.
    pub failures: Vec<IdFailure>,
}

/// Checks in the order of the documents: the customer, unknown ids, ids that are not eligible, ids
/// that are in use. Returns `None` if no rule refuses.
pub fn judge(resource: Resource, findings: Findings) -> Option<Refusal> {
    let rules = resource.rules();
    let of_customer = |code| Some(Refusal { code, failed_ids: Vec::new(), failures: Vec::new() });
    match findings.depth {
        None => return of_customer(Code::CUSTOMER_1002),
        Some(depth) if depth != rules.scope.depth() => return of_customer(rules.out_of_scope),
        Some(_) => {}
    }

    let failures = failures(&rules, &findings);
    let refusal = |code, mut failed_ids: Vec<Uuid>| {
        failed_ids.truncate(MAX_FAILED_IDS);
        Some(Refusal { code, failed_ids, failures })
    };
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

/// The refused ids in ascending order, each with the first rule that refuses it. Only the creator
/// of a product learns which customers have it.
fn failures(rules: &Rules, findings: &Findings) -> Vec<IdFailure> {
    let of_rule = |ids: &[Uuid], code| -> Vec<IdFailure> {
        ids.iter().take(MAX_FAILED_IDS).map(|id| IdFailure::new(*id, code)).collect()
    };
    let mut failures = of_rule(&findings.unknown_ids, rules.unknown);
    failures.extend(of_rule(&findings.ineligible_ids, rules.ineligible));
    if let Some(reference) = &rules.reference {
        let in_use = of_rule(&findings.in_use_ids, reference.in_use);
        let own = in_use.into_iter().filter(|failure| !findings.ineligible_ids.contains(&failure.id));
        failures.extend(own.map(|failure| IdFailure { allocations: findings.in_use_by.clone(), ..failure }));
    }
    failures.sort_by_key(|failure| failure.id);
    failures.truncate(MAX_FAILED_IDS);
    failures
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The refusal, without its failures.
    fn judged(resource: Resource, findings: Findings) -> Option<(Code, Vec<Uuid>)> {
        judge(resource, findings).map(|refusal| (refusal.code, refusal.failed_ids))
    }

    fn judged_failures(resource: Resource, findings: Findings) -> Vec<(Uuid, &'static str, Vec<Uuid>)> {
        let failures = judge(resource, findings).unwrap().failures;
        let told =
            |failure: IdFailure| (failure.id, Code::word(failure.error_code.parse().unwrap()), failure.allocations);
        failures.into_iter().map(told).collect()
    }

    const SOME_ID: Uuid = Uuid::from_u128(1);
    const OTHER_ID: Uuid = Uuid::from_u128(2);

    fn in_scope(resource: Resource) -> Findings {
        Findings { depth: Some(resource.rules().scope.depth()), ..Findings::default() }
    }

    #[test]
    fn nothing_in_the_way_is_no_refusal() {
        for resource in Resource::ALL {
            assert_eq!(judged(resource, in_scope(resource)), None, "{resource:?}");
        }
    }

    #[test]
    fn no_more_ids_are_recorded_than_are_shown() {
        let unknown_ids: Vec<Uuid> = (0..100_000).map(Uuid::from_u128).collect();
        let first = unknown_ids[..1000].to_vec();
        let findings = Findings { unknown_ids, ..in_scope(Resource::Contact) };
        assert_eq!(judged(Resource::Contact, findings).unwrap().1, first);
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
            let refusal = judged(resource, findings).unwrap();
            assert_eq!(refusal, (Code::CUSTOMER_1002, vec![]), "{resource:?}");
        }
    }

    #[test]
    fn unknown_comes_before_not_yours_and_names_only_the_unknown() {
        let findings =
            Findings { unknown_ids: vec![SOME_ID], ineligible_ids: vec![OTHER_ID], ..in_scope(Resource::Contact) };
        let refusal = judged(Resource::Contact, findings).unwrap();
        assert_eq!(refusal, (Code::CUSTOMER_1017, vec![SOME_ID]));
    }

    #[test]
    fn a_foreign_product_is_not_found_even_when_it_is_allocated() {
        let findings =
            Findings { ineligible_ids: vec![SOME_ID], in_use_ids: vec![SOME_ID], ..in_scope(Resource::Product) };
        let refusal = judged(Resource::Product, findings).unwrap();
        assert_eq!(refusal, (Code::AUTH_1015, vec![SOME_ID]));
    }

    #[test]
    fn an_allocated_product_stays() {
        let findings = Findings { in_use_ids: vec![SOME_ID], ..in_scope(Resource::Product) };
        let refusal = judged(Resource::Product, findings).unwrap();
        assert_eq!(refusal, (Code::CUSTOMER_1046, vec![SOME_ID]));
    }

    #[test]
    fn every_other_depth_than_the_scope_is_refused() {
        for resource in Resource::ALL {
            let (wrong_depths, code) = match resource {
                Resource::Contact => ([0, 2], Code::AUTH_1010),
                Resource::Address => ([0, 2], Code::AUTH_1011),
                Resource::ExternalParams => ([1, 2], Code::CUSTOMER_1026),
                Resource::Zone => ([1, 2], Code::CUSTOMER_1030),
                Resource::Product => ([1, 2], Code::AUTH_1015),
            };
            for depth in wrong_depths {
                let refusal = judged(resource, Findings { depth: Some(depth), ..Findings::default() }).unwrap();
                assert_eq!(refusal, (code, vec![]), "{resource:?} at depth {depth}");
            }
        }
    }

    #[test]
    fn unknown_and_not_yours_stand_side_by_side_in_the_order_of_the_ids() {
        let ids: Vec<Uuid> = (1..=4).map(Uuid::from_u128).collect();
        let findings = || Findings {
            unknown_ids: vec![ids[0], ids[3]],
            ineligible_ids: vec![ids[1], ids[2]],
            ..in_scope(Resource::Contact)
        };
        let codes = ["CUSTOMER_1017", "AUTH_1010", "AUTH_1010", "CUSTOMER_1017"];
        let expected: Vec<_> = ids.iter().zip(codes).map(|(id, code)| (*id, code, vec![])).collect();
        assert_eq!(judged_failures(Resource::Contact, findings()), expected);

        for depth in [None, Some(0), Some(2)] {
            assert_eq!(judged_failures(Resource::Contact, Findings { depth, ..findings() }), [], "{depth:?}");
        }
    }

    #[test]
    fn the_first_thousand_failures_are_those_of_every_rule() {
        let ids: Vec<Uuid> = (0..4000).map(Uuid::from_u128).collect();
        let (unknown_ids, ineligible_ids) = ids.iter().partition(|id| id.as_u128() % 2 == 0);
        let findings = Findings { unknown_ids, ineligible_ids, ..in_scope(Resource::Zone) };
        let failures = judged_failures(Resource::Zone, findings);
        assert_eq!(failures.into_iter().map(|(id, ..)| id).collect::<Vec<_>>(), ids[..1000]);
    }

    #[test]
    fn the_customers_that_have_a_product_are_told_to_its_creator_only() {
        let findings =
            || Findings { in_use_ids: vec![SOME_ID], in_use_by: vec![OTHER_ID], ..in_scope(Resource::Product) };
        let own = judged_failures(Resource::Product, findings());
        assert_eq!(own, [(SOME_ID, "CUSTOMER_1046", vec![OTHER_ID])]);
        let foreign = Findings { ineligible_ids: vec![SOME_ID], ..findings() };
        assert_eq!(judged_failures(Resource::Product, foreign), [(SOME_ID, "AUTH_1015", vec![])]);
    }
}
