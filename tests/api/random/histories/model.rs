//! The contract as a model in memory: customers, their rows, and the outcome of each call.
//!
//! The model uses neither the eligibility rules of the service nor its tables of codes.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::contract::{ALLOCATED, CANCELLED, NO_CUSTOMER, REUSED_KEY, codes};
use super::deeds::Deed;

/// One of the five words of the contract.
pub type Word = &'static str;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Customer {
    pub id: Uuid,
    pub parent: Option<Uuid>,
    pub live: bool,
}

/// A subscriber or a sell plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entity {
    pub id: Uuid,
    pub table: &'static str,
    pub customer: Uuid,
    pub live: bool,
}

/// The entity that external params are set on: the column that refers to it, and its id.
pub type SetOn = (&'static str, Uuid);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    pub id: Uuid,
    pub word: Word,
    pub customer: Uuid,
    pub set_on: Option<SetOn>,
    /// Compared only where a name must be unique.
    pub name: u8,
    pub fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    Live,
    DeletedElsewhere,
    /// Deleted by the call with this number.
    DeletedBy(usize),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Allocation {
    pub id: Uuid,
    pub product: Uuid,
    pub customer: Uuid,
    pub detached: bool,
}

/// A well-formed call, without its key: the parts in which two calls under one key can differ.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Asked {
    pub requester: Uuid,
    pub customer: Uuid,
    pub word: Word,
    pub ids: BTreeSet<Uuid>,
}

/// The ids that a rule refuses, each with its code and the customers that have an allocated product.
pub type Failures = BTreeMap<Uuid, (&'static str, BTreeSet<Uuid>)>;

/// A refusal by a rule.
struct Refusal {
    code: &'static str,
    /// The refused ids.
    failed_ids: BTreeSet<Uuid>,
    failures: Failures,
}

impl Refusal {
    /// A refusal that concerns no id.
    fn of_call(code: &'static str) -> Option<Refusal> {
        Some(Refusal { code, failed_ids: BTreeSet::new(), failures: Failures::new() })
    }
}

/// The record of a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operation {
    pub asked: Asked,
    /// `None` for a success.
    pub refusal: Option<&'static str>,
    pub failed_ids: BTreeSet<Uuid>,
    pub failures: Failures,
    pub key: Option<String>,
    /// `None` until the call names it.
    pub actor: Option<String>,
}

/// The answer to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// `None` for a success.
    pub refusal: Option<&'static str>,
    /// The call whose recorded answer is replayed.
    pub replay_of: Option<usize>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Model {
    pub customers: Vec<Customer>,
    pub entities: Vec<Entity>,
    pub rows: Vec<Row>,
    pub allocations: Vec<Allocation>,
    /// The key is the number of the call.
    pub operations: BTreeMap<usize, Operation>,
}

impl Model {
    /// A well-formed call with its key.
    pub fn call(&mut self, number: usize, asked: &Asked, key: Option<&str>) -> Answered {
        if let Some((earlier, operation)) = self.under_key(asked.requester, key) {
            if operation.asked == *asked {
                return Answered { refusal: operation.refusal, replay_of: Some(earlier) };
            }
            return self.record(number, asked, Refusal::of_call(REUSED_KEY), None);
        }
        let refusal = self.refusal(asked);
        if refusal.is_none() {
            for row in self.rows.iter_mut().filter(|row| row.word == asked.word && asked.ids.contains(&row.id)) {
                row.fate = Fate::DeletedBy(number);
            }
        }
        self.record(number, asked, refusal, key)
    }

    /// A well-formed call that was accepted and then cancelled.
    pub fn cancelled(&mut self, number: usize, asked: &Asked, key: Option<&str>) -> Answered {
        self.record(number, asked, Refusal::of_call(CANCELLED), key)
    }

    fn under_key(&self, requester: Uuid, key: Option<&str>) -> Option<(usize, &Operation)> {
        let key = key?;
        let mut operations = self.operations.iter();
        let found = operations
            .find(|(_, operation)| operation.asked.requester == requester && operation.key.as_deref() == Some(key));
        found.map(|(number, operation)| (*number, operation))
    }

    fn record(&mut self, number: usize, asked: &Asked, refusal: Option<Refusal>, key: Option<&str>) -> Answered {
        let code = refusal.as_ref().map(|refusal| refusal.code);
        let (failed_ids, failures) =
            refusal.map_or_else(Default::default, |refusal| (refusal.failed_ids, refusal.failures));
        let (asked, key) = (asked.clone(), key.map(str::to_owned));
        self.operations.insert(number, Operation { asked, refusal: code, failed_ids, failures, key, actor: None });
        Answered { refusal: code, replay_of: None }
    }

    /// The first rule that refuses the call.
    fn refusal(&self, asked: &Asked) -> Option<Refusal> {
        let codes = codes(asked.word);
        match self.depth(asked.customer, asked.requester) {
            None => return Refusal::of_call(NO_CUSTOMER),
            Some(depth) if depth != codes.depth => return Refusal::of_call(codes.elsewhere),
            Some(_) => {}
        }
        let those = |says_no: &dyn Fn(Uuid) -> bool| -> BTreeSet<Uuid> {
            asked.ids.iter().copied().filter(|id| says_no(*id)).collect()
        };
        let unknown = those(&|id| self.live_row(asked.word, id).is_none());
        let not_theirs = those(&|id| !self.is_deletable_by(asked.word, id, asked.customer));
        let allocated = those(&|id| asked.word == "product" && self.is_allocated(id));
        let rules = [(codes.unknown, unknown), (codes.not_theirs, not_theirs), (ALLOCATED, allocated)];
        let mut failures = Failures::new();
        for (code, ids) in &rules {
            for id in ids {
                let holders = if *code == ALLOCATED { self.holders(*id) } else { BTreeSet::new() };
                failures.entry(*id).or_insert((*code, holders));
            }
        }
        let (code, failed_ids) = rules.into_iter().find(|(_, ids)| !ids.is_empty())?;
        Some(Refusal { code, failed_ids, failures })
    }

    /// Steps up from the customer to the requester, through live customers only.
    pub fn depth(&self, customer: Uuid, requester: Uuid) -> Option<u32> {
        let mut step = self.live_customer(customer)?;
        for depth in 0.. {
            if step.id == requester {
                return Some(depth);
            }
            step = self.live_customer(step.parent?)?;
        }
        None
    }

    fn is_deletable_by(&self, word: Word, id: Uuid, customer: Uuid) -> bool {
        let Some(row) = self.live_row(word, id) else { return false };
        let its_own_entity = match row.set_on {
            None => true,
            // The entity counts even if it is deleted.
            Some(("sub_customer_id", on)) => {
                self.customers.iter().any(|sub_customer| sub_customer.id == on && sub_customer.parent == Some(customer))
            }
            Some((_, on)) => self.entities.iter().any(|entity| entity.id == on && entity.customer == customer),
        };
        row.customer == customer && its_own_entity
    }

    /// Whether a live customer has an allocation of the product.
    pub fn is_allocated(&self, product: Uuid) -> bool {
        !self.holders(product).is_empty()
    }

    /// The live customers that have an allocation of the product.
    fn holders(&self, product: Uuid) -> BTreeSet<Uuid> {
        let attached =
            self.allocations.iter().filter(|allocation| allocation.product == product && !allocation.detached);
        let customers = attached.filter_map(|allocation| self.live_customer(allocation.customer));
        customers.map(|customer| customer.id).collect()
    }

    pub fn live_customer(&self, id: Uuid) -> Option<&Customer> {
        self.customers.iter().find(|customer| customer.id == id && customer.live)
    }

    pub fn live_row(&self, word: Word, id: Uuid) -> Option<&Row> {
        self.rows.iter().find(|row| row.word == word && row.id == id && row.fate == Fate::Live)
    }

    /// Applies a change by another service. Returns whether it is allowed.
    pub fn carry_out(&mut self, deed: &Deed) -> bool {
        match deed {
            Deed::InsertCustomer(customer) => self.customers.push(customer.clone()),
            Deed::InsertEntity(entity) => self.entities.push(entity.clone()),
            Deed::Insert(row) => {
                if !self.name_is_free(row, row.customer) {
                    return false;
                }
                self.rows.push(row.clone());
            }
            Deed::Allocate(allocation) => {
                let product = self.live_row("product", allocation.product);
                if product.is_none() || self.live_customer(allocation.customer).is_none() {
                    return false;
                }
                self.allocations.push(allocation.clone());
            }
            Deed::Detach(id) => return self.set_detached(*id, true),
            Deed::Attach(id) => return self.set_detached(*id, false),
            Deed::ReParent { customer, parent } => {
                if self.is_at_or_below(*parent, *customer) {
                    return false;
                }
                return self.change_customer(*customer, |customer| customer.parent = Some(*parent));
            }
            Deed::DeleteCustomer(id) => return self.change_customer(*id, |customer| customer.live = false),
            Deed::DeleteEntity { id, .. } => return self.change_entity(*id, |entity| entity.live = false),
            Deed::MoveEntity { id, customer, .. } => {
                return self.change_entity(*id, |entity| entity.customer = *customer);
            }
            Deed::Delete { word, id } => {
                if *word == "product" && self.is_allocated(*id) {
                    return false;
                }
                return self.change_row(*id, |row| row.fate = Fate::DeletedElsewhere);
            }
            Deed::Move { word, id, customer } => {
                if self.live_row(word, *id).is_some_and(|row| !self.name_is_free(row, *customer)) {
                    return false;
                }
                return self.change_row(*id, |row| row.customer = *customer);
            }
            Deed::SetOn { id, on } => return self.change_row(*id, |row| row.set_on = Some(*on)),
        }
        true
    }

    /// A name belongs to at most one live zone, and one live product, of a customer.
    fn name_is_free(&self, row: &Row, customer: Uuid) -> bool {
        !["zone", "product"].contains(&row.word)
            || !self.rows.iter().any(|other| {
                other.word == row.word
                    && other.customer == customer
                    && other.name == row.name
                    && other.fate == Fate::Live
                    && other.id != row.id
            })
    }

    fn is_at_or_below(&self, customer: Uuid, ancestor: Uuid) -> bool {
        let mut at = Some(customer);
        while let Some(id) = at {
            if id == ancestor {
                return true;
            }
            at = self.customers.iter().find(|customer| customer.id == id).and_then(|customer| customer.parent);
        }
        false
    }

    fn set_detached(&mut self, id: Uuid, detached: bool) -> bool {
        let Some(place) = self.allocations.iter().position(|allocation| allocation.id == id) else { return false };
        let allocation = &self.allocations[place];
        let would_be_live = !detached && self.live_customer(allocation.customer).is_some();
        if allocation.detached == detached || would_be_live && self.live_row("product", allocation.product).is_none() {
            return false;
        }
        self.allocations[place].detached = detached;
        true
    }

    fn change_customer(&mut self, id: Uuid, change: impl FnOnce(&mut Customer)) -> bool {
        let found = self.customers.iter_mut().find(|customer| customer.id == id && customer.live);
        found.map(change).is_some()
    }

    fn change_entity(&mut self, id: Uuid, change: impl FnOnce(&mut Entity)) -> bool {
        let found = self.entities.iter_mut().find(|entity| entity.id == id && entity.live);
        found.map(change).is_some()
    }

    fn change_row(&mut self, id: Uuid, change: impl FnOnce(&mut Row)) -> bool {
        let found = self.rows.iter_mut().find(|row| row.id == id && row.fate == Fate::Live);
        found.map(change).is_some()
    }
}
