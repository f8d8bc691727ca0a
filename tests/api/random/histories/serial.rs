//! Whether concurrent events have the same results as some serial order of them.
//!
//! The search of Wing and Gong. The next event is one that no other remaining event precedes in time, and that the model
//! answers as the service did. If there is none, the search goes back one event. States that failed are not tried again.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use super::calls::Call;
use super::contract::{CANCELLED, REUSED_KEY};
use super::deeds::Deed;
use super::model::{Answered, Model};
use super::tables::Tables;

#[derive(Clone, Debug)]
pub enum Act {
    Call(Call),
    /// A call that is only validated.
    Validation(Call),
    Deed(Deed),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answered(Answered),
    /// Whether a deed was committed.
    Done(bool),
    /// The event had no effect, and will have none.
    Never,
}

/// An act and its time. Its number is its index in the events.
#[derive(Clone, Debug)]
pub struct Event {
    pub act: Act,
    pub began: Instant,
    pub ended: Instant,
    pub outcome: Outcome,
}

impl Event {
    fn predict(&self, model: &mut Model, number: usize) -> Outcome {
        match &self.act {
            Act::Call(call) if self.is_cancelled() => Outcome::Answered(call.predict_cancelled(model, number)),
            Act::Call(call) => Outcome::Answered(call.predict(model, number)),
            Act::Validation(call) => Outcome::Answered(call.predict(&mut model.clone(), number)),
            Act::Deed(deed) => Outcome::Done(model.carry_out(deed)),
        }
    }

    fn is_cancelled(&self) -> bool {
        matches!(self.outcome, Outcome::Answered(Answered { refusal: Some(CANCELLED), .. }))
    }

    /// Whether no other event depends on it. Such an event can be placed first without trying other orders.
    fn changes_nothing(&self) -> bool {
        match (&self.act, self.outcome) {
            (Act::Validation(_), _) => true,
            (Act::Call(call), Outcome::Answered(Answered { refusal: Some(code), .. })) => {
                call.key.is_none() || code == REUSED_KEY
            }
            (_, Outcome::Answered(answered)) => answered.replay_of.is_some(),
            (_, outcome) => outcome == Outcome::Done(false),
        }
    }
}

/// A serial order of the events that ends in these tables, or else the longest valid prefix of one.
pub fn order(begin: &Model, events: &[Event], found: &Tables) -> Result<Vec<usize>, Vec<usize>> {
    let mut search = Search { events, found, seen: HashSet::new(), order: Vec::new(), longest: Vec::new() };
    let never = events.iter().enumerate().filter(|(_, event)| event.outcome == Outcome::Never);
    let done = never.fold(0, |done, (number, _)| done | 1 << number);
    if search.goes_on(begin.clone(), done) { Ok(search.order) } else { Err(search.longest) }
}

struct Search<'a> {
    events: &'a [Event],
    found: &'a Tables,
    /// The sets of executed events with the states that they lead to. These have been tried.
    seen: HashSet<(u64, u64)>,
    order: Vec<usize>,
    longest: Vec<usize>,
}

impl Search<'_> {
    fn goes_on(&mut self, model: Model, done: u64) -> bool {
        if self.order.len() > self.longest.len() {
            self.longest.clone_from(&self.order);
        }
        if done.count_ones() as usize == self.events.len() {
            return Tables::from(&model) == *self.found;
        }
        if !self.seen.insert((done, hash(&model))) {
            return false;
        }
        let nexts = self.nexts(&model, done);
        let certain = nexts.iter().position(|(number, _)| self.events[*number].changes_nothing());
        let nexts = match certain {
            Some(place) => &nexts[place..=place],
            None => &nexts[..],
        };
        nexts.iter().any(|(number, next)| {
            self.order.push(*number);
            let ended_well = self.goes_on(next.clone(), done | 1 << number);
            if !ended_well {
                self.order.pop();
            }
            ended_well
        })
    }

    /// The events that can come next, and the states that they lead to.
    fn nexts(&self, model: &Model, done: u64) -> Vec<(usize, Model)> {
        let to_come = || self.events.iter().enumerate().filter(|(number, _)| done & 1 << number == 0);
        let first_end = to_come().map(|(_, event)| event.ended).min().expect("something is to come");
        let could = to_come().filter(|(_, event)| event.began <= first_end);
        let tried = could.filter_map(|(number, event)| {
            let mut next = model.clone();
            let predicted = event.predict(&mut next, number);
            let recorded = next.operations.get(&number) == self.found.operations.get(&number);
            (predicted == event.outcome && recorded).then_some((number, next))
        });
        tried.collect()
    }
}

fn hash(model: &Model) -> u64 {
    let mut hasher = DefaultHasher::new();
    model.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::super::calls::Form;
    use super::super::model::{Customer, Fate, Row};
    use super::*;

    const CUSTOMER: Uuid = Uuid::from_u128(1);
    const ZONE: Uuid = Uuid::from_u128(2);

    fn one_zone() -> Model {
        let zone = Row { id: ZONE, word: "zone", customer: CUSTOMER, set_on: None, name: 0, fate: Fate::Live };
        let customers = vec![Customer { id: CUSTOMER, parent: None, live: true }];
        Model { customers, rows: vec![zone], ..Model::default() }
    }

    fn deletion() -> Call {
        let form = Form::Url("");
        Call {
            requester: CUSTOMER,
            customer: CUSTOMER,
            word: "zone",
            ids: vec![ZONE],
            form,
            key: None,
            later: false,
            cancel: false,
            problem: false,
            actor: None,
        }
    }

    /// Deletions of the zone, each from one second to another, and their refusals.
    fn deletions(seen: &[(u64, u64, Option<&'static str>)]) -> Vec<Event> {
        let start = Instant::now();
        let event = |(began, ended, refusal): &(u64, u64, Option<&'static str>)| Event {
            act: Act::Call(deletion()),
            began: start + Duration::from_secs(*began),
            ended: start + Duration::from_secs(*ended),
            outcome: Outcome::Answered(Answered { refusal: *refusal, replay_of: None }),
        };
        seen.iter().map(event).collect()
    }

    /// The tables that the calls leave when they run in this order.
    fn left_by(order: &[usize]) -> Tables {
        let mut model = one_zone();
        for number in order {
            deletion().predict(&mut model, *number);
        }
        Tables::from(&model)
    }

    #[test]
    fn of_two_deletions_at_once_either_may_win() {
        let one_wins = deletions(&[(0, 3, None), (1, 2, Some("CUSTOMER_1030"))]);
        assert_eq!(order(&one_zone(), &one_wins, &left_by(&[0, 1])), Ok(vec![0, 1]));
        let other_wins = deletions(&[(0, 3, Some("CUSTOMER_1030")), (1, 2, None)]);
        assert_eq!(order(&one_zone(), &other_wins, &left_by(&[1, 0])), Ok(vec![1, 0]));
    }

    #[test]
    fn two_winners_have_no_order() {
        let both_win = deletions(&[(0, 3, None), (1, 2, None)]);
        assert_eq!(order(&one_zone(), &both_win, &left_by(&[0])), Err(vec![0]));
    }

    #[test]
    fn a_loser_before_the_winner_has_no_order() {
        let loser_first = deletions(&[(0, 1, Some("CUSTOMER_1030")), (2, 3, None)]);
        assert_eq!(order(&one_zone(), &loser_first, &left_by(&[1, 0])), Err(vec![]));
    }

    #[test]
    fn a_winner_whose_row_is_still_there_has_no_order() {
        let winner = deletions(&[(0, 1, None)]);
        let mut found = left_by(&[0]);
        found.rows = Tables::from(&one_zone()).rows;
        assert_eq!(order(&one_zone(), &winner, &found), Err(vec![0]));
    }
}
