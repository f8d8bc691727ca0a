//! The order of the calls that wait for a session turn, and which of them share a statement. Pure:
//! no clock, no database.

use std::collections::VecDeque;
use std::sync::Arc;

use uuid::Uuid;

use crate::operation::Deletion;

/// The most calls of one statement.
const MAX_CALLS: usize = 16;

/// The most ids of one statement. A call of more gains little from sharing, and would delay the
/// others.
const MAX_IDS: usize = 64;

/// The waiting calls, oldest first. If a turn is free, no call is waiting.
pub struct Schedule<T> {
    free_turns: u32,
    waiting: VecDeque<Waiting<T>>,
}

pub struct Waiting<T> {
    pub deletion: Arc<Deletion>,
    shares: bool,
    pub caller: T,
}

impl<T> Schedule<T> {
    pub fn new(turns: u32) -> Schedule<T> {
        Schedule { free_turns: turns, waiting: VecDeque::new() }
    }

    /// Returns false if no turn is free.
    pub fn take_free_turn(&mut self) -> bool {
        let rest = self.free_turns.checked_sub(1);
        self.free_turns = rest.unwrap_or(0);
        rest.is_some()
    }

    /// Returns the number of waiting calls.
    pub fn add_waiting(&mut self, deletion: Arc<Deletion>, caller: T) -> usize {
        let shares = may_share(&deletion);
        self.waiting.push_back(Waiting { deletion, shares, caller });
        self.waiting.len()
    }

    /// Gives a turn to the call that has waited longest, and to those that share its statement. If
    /// none waits, the turn is free.
    pub fn next(&mut self, has_left: impl Fn(&T) -> bool) -> Vec<Waiting<T>> {
        self.waiting.retain(|call| !has_left(&call.caller));
        let Some(first) = self.waiting.pop_front() else {
            self.free_turns += 1;
            return Vec::new();
        };
        let mut group = vec![first];
        let mut ids: Vec<Uuid> = group[0].deletion.targets.as_slice().to_vec();
        let mut index = 0;
        while index < self.waiting.len() && group.len() < MAX_CALLS {
            if group[0].may_run_with(&ids, &self.waiting[index]) {
                let call = self.waiting.remove(index).expect("the index is of a waiting call");
                ids.extend(call.deletion.targets.as_slice());
                group.push(call);
            } else {
                index += 1;
            }
        }
        group
    }

    /// Removes a call that waits no longer. Returns false if it does not wait.
    pub fn leave(&mut self, operation_id: Uuid) -> bool {
        let index = self.waiting.iter().position(|call| call.deletion.operation_id == operation_id);
        index.and_then(|index| self.waiting.remove(index)).is_some()
    }

    /// Puts a group of calls back, in front of the others. Each then runs alone.
    pub fn put_back(&mut self, calls: Vec<Waiting<T>>) {
        for call in calls.into_iter().rev() {
            self.waiting.push_front(Waiting { shares: false, ..call });
        }
    }
}

impl<T> Waiting<T> {
    /// Whether another call may run in the statement of this one, which has these ids already.
    fn may_run_with(&self, ids: &[Uuid], other: &Waiting<T>) -> bool {
        let more = other.deletion.targets.as_slice();
        self.shares
            && other.shares
            && self.deletion.resource == other.deletion.resource
            && ids.len() + more.len() <= MAX_IDS
            && !more.iter().any(|id| ids.contains(id))
    }
}

/// A deletion of a resource to which other rows refer may have to wait for another service that
/// inserts one.
fn may_share(deletion: &Deletion) -> bool {
    deletion.resource.rules().reference.is_none()
        && deletion.idempotency_key.is_none()
        && deletion.targets.count() <= MAX_IDS
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use rstest::rstest;

    use super::*;
    use crate::operation::{IdempotencyKey, TargetIds};
    use crate::resource::Resource::{self, Contact, Product, Zone};

    /// A call about these ids, and whether it has an idempotency key.
    type Call = (Resource, Range<u128>, bool);

    const NO_KEY: bool = false;
    const KEY: bool = true;

    fn deletion((resource, ids, has_key): Call) -> Arc<Deletion> {
        Arc::new(Deletion {
            operation_id: Uuid::now_v7(),
            requester_id: Uuid::nil(),
            customer_id: Uuid::nil(),
            resource,
            targets: TargetIds::new(ids.map(Uuid::from_u128).collect()).unwrap(),
            idempotency_key: has_key.then(|| IdempotencyKey::new("key").unwrap()),
            actor: None,
        })
    }

    /// The callers are numbered in the order of their arrival.
    fn schedule(calls: Vec<Call>) -> Schedule<usize> {
        let mut schedule = Schedule::new(0);
        for (number, call) in calls.into_iter().enumerate() {
            schedule.add_waiting(deletion(call), number);
        }
        schedule
    }

    fn contacts(count: u128) -> Vec<Call> {
        (0..count).map(|id| (Contact, id..id + 1, NO_KEY)).collect()
    }

    fn next(schedule: &mut Schedule<usize>) -> Vec<usize> {
        numbers(&schedule.next(|_| false))
    }

    fn numbers(calls: &[Waiting<usize>]) -> Vec<usize> {
        calls.iter().map(|call| call.caller).collect()
    }

    #[rstest]
    #[case::alike_calls_share(contacts(3), vec![vec![0, 1, 2]])]
    #[case::other_resources_do_not(vec![(Contact, 0..1, NO_KEY), (Zone, 1..2, NO_KEY), (Contact, 2..3, NO_KEY)], vec![vec![0, 2], vec![1]])]
    #[case::nor_calls_with_a_common_id(vec![(Zone, 0..2, NO_KEY), (Zone, 1..3, NO_KEY), (Zone, 2..3, NO_KEY)], vec![vec![0, 2], vec![1]])]
    #[case::nor_a_first_call_with_a_key(vec![(Zone, 0..1, KEY), (Zone, 1..2, NO_KEY), (Zone, 2..3, NO_KEY)], vec![vec![0], vec![1, 2]])]
    #[case::nor_a_later_call_with_a_key(vec![(Zone, 0..1, NO_KEY), (Zone, 1..2, KEY), (Zone, 2..3, NO_KEY)], vec![vec![0, 2], vec![1]])]
    #[case::nor_products(vec![(Product, 0..1, NO_KEY), (Product, 1..2, NO_KEY)], vec![vec![0], vec![1]])]
    #[case::at_most_64_ids(vec![(Zone, 0..63, NO_KEY), (Zone, 63..65, NO_KEY), (Zone, 65..66, NO_KEY)], vec![vec![0, 2], vec![1]])]
    #[case::a_longer_list_runs_alone(vec![(Zone, 0..65, NO_KEY), (Zone, 65..66, NO_KEY)], vec![vec![0], vec![1]])]
    #[case::at_most_16_calls(contacts(17), vec![vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], vec![16]])]
    fn calls_that_may_share_a_statement_do(#[case] calls: Vec<Call>, #[case] groups: Vec<Vec<usize>>) {
        let mut schedule = schedule(calls);
        for group in groups {
            assert_eq!(next(&mut schedule), group);
        }
        assert!(next(&mut schedule).is_empty());
    }

    #[test]
    fn a_turn_that_no_call_needs_is_free_for_one_call() {
        let mut schedule = schedule(contacts(1));
        assert!(!schedule.take_free_turn());
        assert_eq!(next(&mut schedule), [0]);
        assert!(!schedule.take_free_turn());
        assert!(next(&mut schedule).is_empty());
        assert!(schedule.take_free_turn());
        assert!(!schedule.take_free_turn());
    }

    #[test]
    fn a_call_whose_caller_has_left_gets_no_turn() {
        let mut schedule = schedule(contacts(3));
        assert_eq!(numbers(&schedule.next(|caller| *caller == 0)), [1, 2]);
        assert!(next(&mut schedule).is_empty());
    }

    #[test]
    fn a_waiting_call_leaves_once() {
        let mut schedule = schedule(contacts(2));
        let first = schedule.waiting[0].deletion.operation_id;
        assert!(schedule.leave(first));
        assert!(!schedule.leave(first));
        assert_eq!(next(&mut schedule), [1]);
    }

    #[test]
    fn calls_that_are_put_back_run_next_each_alone() {
        let mut schedule = schedule(contacts(2));
        let group = schedule.next(|_| false);
        schedule.add_waiting(deletion((Contact, 2..3, NO_KEY)), 2);
        schedule.add_waiting(deletion((Contact, 3..4, NO_KEY)), 3);
        schedule.put_back(group);
        for expected in [&[0][..], &[1], &[2, 3]] {
            assert_eq!(next(&mut schedule), expected);
        }
    }
}
