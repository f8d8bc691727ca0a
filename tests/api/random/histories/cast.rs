//! Makes customers, rows and calls from a plan, which has only indexes.

use uuid::Uuid;

use super::calls::{Call, Form, Spelling, Wrong};
use super::contract::{takes_list, words};
use super::deeds::Deed;
use super::model::{Allocation, Customer, Entity, Fate, Model, Row, SetOn, Word};
use super::plan::{
    CallPlan, DeedKind, DeedPlan, FormPlan, Other, RepeatPlan, RowPlan, SetOnPlan, Twist, Who, WorldPlan,
};

/// Ids that no other history has. Their order is not the order of creation, and is the same for the same plan.
pub struct Ids {
    count: u64,
    own: u64,
}

impl Ids {
    pub fn of(plan: &WorldPlan) -> Ids {
        let (_, own) = Uuid::now_v7().as_u64_pair();
        Ids { count: (plan.rows.len() * 1000) as u64, own }
    }

    pub fn next(&mut self) -> Uuid {
        self.count += 1;
        // An odd factor, so that all ids differ.
        Uuid::from_u64_pair(self.count.wrapping_mul(0x9e37_79b9_7f4a_7c15), self.own)
    }
}

fn nth<T>(all: &[T], number: u8) -> Option<&T> {
    (!all.is_empty()).then(|| &all[usize::from(number) % all.len()])
}

/// The nth of the items that pass, or of all items if none passes.
fn nth_that<T>(all: &[T], passes: impl Fn(&T) -> bool, number: u8) -> Option<&T> {
    let some: Vec<&T> = all.iter().filter(|one| passes(one)).collect();
    nth(&some, number).copied().or_else(|| nth(all, number))
}

/// Makes the customers and rows of a plan in the model. Returns the deeds by which another service would make them.
pub fn found(plan: &WorldPlan, model: &mut Model, ids: &mut Ids) -> Vec<Deed> {
    let mut deeds = Vec::new();
    let mut add = |deed: Deed, model: &mut Model| {
        if model.carry_out(&deed) {
            deeds.push(deed);
        }
    };
    for parent in &plan.parents {
        let parent = parent.and_then(|parent| nth(&model.customers, parent)).map(|customer| customer.id);
        add(Deed::InsertCustomer(Customer { id: ids.next(), parent, live: true }), model);
    }
    for (number, customer) in plan.entities.iter().enumerate() {
        add(Deed::InsertEntity(entity(model, ids, *customer, number)), model);
    }
    for row in &plan.rows {
        add(Deed::Insert(new_row(model, ids, *row)), model);
    }
    for (product, customer) in &plan.allocations {
        if let Some(allocation) = allocation(model, ids, *product, *customer) {
            add(Deed::Allocate(allocation), model);
        }
    }
    for done in &plan.deeds {
        if let Some(done) = deed(*done, model, ids) {
            add(done, model);
        }
    }
    deeds
}

fn entity(model: &Model, ids: &mut Ids, customer: u8, number: usize) -> Entity {
    let customer = nth(&model.customers, customer).expect("there are customers").id;
    Entity { id: ids.next(), table: ["subscriber", "sell_plan"][number % 2], customer, live: true }
}

fn new_row(model: &Model, ids: &mut Ids, plan: RowPlan) -> Row {
    let word = *nth(&words(), plan.word).expect("there are resources");
    let customer = nth(&model.customers, plan.customer).expect("there are customers").id;
    let set_on = (word == "external-params").then(|| set_on(model, plan.set_on, customer));
    Row { id: ids.next(), word, customer, set_on, name: plan.name, fate: Fate::Live }
}

fn set_on(model: &Model, (plan, number): (SetOnPlan, u8), customer: Uuid) -> SetOn {
    let entity = match plan {
        SetOnPlan::OwnEntity => nth_that(&model.entities, |entity| entity.customer == customer, number),
        SetOnPlan::AnyEntity => nth(&model.entities, number),
        SetOnPlan::OwnSubCustomer | SetOnPlan::AnyCustomer => None,
    };
    if let Some(entity) = entity {
        return (if entity.table == "subscriber" { "subscriber_id" } else { "sell_plan_id" }, entity.id);
    }
    let is_own = |other: &Customer| !matches!(plan, SetOnPlan::AnyCustomer) && other.parent == Some(customer);
    ("sub_customer_id", nth_that(&model.customers, is_own, number).expect("there are customers").id)
}

fn allocation(model: &Model, ids: &mut Ids, product: u8, customer: u8) -> Option<Allocation> {
    let products: Vec<&Row> = model.rows.iter().filter(|row| row.word == "product").collect();
    let customer = nth_that(&model.customers, |customer| customer.live, customer)?.id;
    Some(Allocation { id: ids.next(), product: nth(&products, product)?.id, customer, detached: false })
}

/// Makes a call. `stranger` is an id of no customer, which the call may name instead.
pub fn call(plan: &CallPlan, model: &Model, ids: &mut Ids, stranger: Uuid) -> Call {
    let word = *nth(&words(), plan.word).expect("there are resources");
    let live: Vec<&Row> = model.rows.iter().filter(|row| row.word == word && row.fate == Fate::Live).collect();
    let row = nth(&live, plan.row).copied();
    let right = row.map_or(stranger, |row| row.customer);
    let customer = who(plan.customer, right, model, stranger);
    let above = model.customers.iter().find(|customer| customer.id == right).and_then(|customer| customer.parent);
    let right = if ["contact", "address"].contains(&word) { above.unwrap_or(right) } else { right };
    let first = match (plan.first, row) {
        ((Other::Eligible, _), Some(row)) => row.id,
        ((other, number), row) => id(other, number, row, word, model, stranger),
    };
    let others = plan.others.iter().map(|(other, number)| id(*other, *number, row, word, model, ids.next()));
    let listed = std::iter::once(first).chain(others).collect();
    Call {
        requester: who(plan.requester, right, model, stranger),
        customer,
        word,
        ids: listed,
        form: form(plan.form, word),
        key: plan.key.map(|key| format!("key-{key}")),
        later: plan.later && may_be_later(plan.form),
        cancel: plan.cancel,
        problem: plan.row.is_multiple_of(3),
        actor: plan.row.is_multiple_of(2).then(|| format!("actor {}", plan.row % 5)),
    }
}

/// Some forms are too large for a caller that waits, but not for one that does not.
pub fn may_be_later(form: FormPlan) -> bool {
    !matches!(form, FormPlan::Wrong(Wrong::TooMany | Wrong::TooLarge))
}

fn who(plan: Who, right: Uuid, model: &Model, stranger: Uuid) -> Uuid {
    match plan {
        Who::Right => right,
        Who::Any(number) => nth(&model.customers, number).map_or(stranger, |customer| customer.id),
        Who::Unknown => stranger,
    }
}

fn id(plan: Other, number: u8, first: Option<&Row>, word: Word, model: &Model, unknown: Uuid) -> Uuid {
    let customer = first.map(|row| row.customer);
    let is_eligible = |row: &&Row| row.word == word && row.fate == Fate::Live && Some(row.customer) == customer;
    let candidates: Vec<&Row> = match plan {
        Other::Eligible => model.rows.iter().filter(is_eligible).collect(),
        Other::SameResource => model.rows.iter().filter(|row| row.word == word).collect(),
        Other::AnotherResource => model.rows.iter().filter(|row| row.word != word).collect(),
        Other::Unknown => Vec::new(),
    };
    nth(&candidates, number).map_or(unknown, |row| row.id)
}

/// A resource without lists mostly has its id in the URL. A list of it is refused.
fn form(plan: FormPlan, word: Word) -> Form {
    match plan {
        FormPlan::Url(body) => Form::Url(body),
        FormPlan::List(form @ (Form::Delete(Spelling::Plain) | Form::BatchDelete(Spelling::Plain))) => form,
        FormPlan::List(_) if !takes_list(word) => Form::Url(""),
        FormPlan::List(form) => form,
        FormPlan::Wrong(wrong) => Form::Wrong(wrong),
    }
}

pub fn repeat(plan: RepeatPlan, calls: &[Call], model: &Model) -> Option<Call> {
    let mut call = nth(calls, plan.call)?.clone();
    // Forms that list the same ids. The URL can hold only one.
    if call.asked().ids.len() == 1 || matches!(plan.form, FormPlan::List(_)) {
        call.ids = call.asked().ids.into_iter().collect();
        call.form = form(plan.form, call.word);
    }
    call.later = plan.later && !matches!(call.form, Form::Wrong(Wrong::TooMany | Wrong::TooLarge));
    // A replay has the form that its own caller prefers. It stays the operation of the first actor.
    call.problem = plan.call.is_multiple_of(2);
    call.actor = plan.call.is_multiple_of(3).then(|| "another actor".to_owned());
    match plan.twist {
        Twist::None => {}
        Twist::NoKey => call.key = None,
        Twist::OtherKey(key) => call.key = Some(format!("key-{key}")),
        Twist::OtherRequester(number) => call.requester = nth(&model.customers, number)?.id,
        Twist::OtherCustomer(number) => call.customer = nth(&model.customers, number)?.id,
        Twist::OneIdLess if call.ids.len() > 1 => drop(call.ids.pop()),
        Twist::OneIdLess => {}
    }
    Some(call)
}

/// Returns `None` if the model has no row that the deed could change.
pub fn deed(plan: DeedPlan, model: &Model, ids: &mut Ids) -> Option<Deed> {
    let customer = |number| nth_that(&model.customers, |customer| customer.live, number).map(|customer| customer.id);
    let row = nth_that(&model.rows, |row| row.fate == Fate::Live, plan.one);
    let entity = nth(&model.entities, plan.one);
    Some(match plan.kind {
        DeedKind::Allocate => Deed::Allocate(allocation(model, ids, plan.one, plan.other)?),
        DeedKind::Detach => Deed::Detach(nth_that(&model.allocations, |one| !one.detached, plan.one)?.id),
        DeedKind::Attach => Deed::Attach(nth_that(&model.allocations, |one| one.detached, plan.one)?.id),
        DeedKind::ReParent => Deed::ReParent { customer: customer(plan.one)?, parent: customer(plan.other)? },
        DeedKind::DeleteCustomer => Deed::DeleteCustomer(customer(plan.one)?),
        DeedKind::Delete => Deed::Delete { word: row?.word, id: row?.id },
        DeedKind::Move => Deed::Move { word: row?.word, id: row?.id, customer: customer(plan.other)? },
        DeedKind::DeleteEntity => Deed::DeleteEntity { table: entity?.table, id: entity?.id },
        DeedKind::MoveEntity => {
            Deed::MoveEntity { table: entity?.table, id: entity?.id, customer: customer(plan.other)? }
        }
        DeedKind::SetOn => {
            let params: Vec<&Row> = model.rows.iter().filter(|row| row.word == "external-params").collect();
            let row = nth(&params, plan.one)?;
            Deed::SetOn { id: row.id, on: set_on(model, plan.row.set_on, row.customer) }
        }
        DeedKind::Insert => Deed::Insert(new_row(model, ids, plan.row)),
        DeedKind::InsertCustomer => {
            Deed::InsertCustomer(Customer { id: ids.next(), parent: customer(plan.one), live: true })
        }
        DeedKind::InsertEntity => Deed::InsertEntity(self::entity(model, ids, plan.one, plan.other.into())),
    })
}
