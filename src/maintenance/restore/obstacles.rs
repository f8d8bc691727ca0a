//! The reasons why a row cannot be restored, as a pure function.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::statements::DeletedRow;

/// The entities that the rows refer to, if they are live or were deleted before the rows.
#[derive(Debug, Default)]
pub struct Surroundings {
    pub customers: HashSet<Uuid>,
    pub subscribers: HashSet<Uuid>,
    pub sell_plans: HashSet<Uuid>,
    /// For each zone whose name is taken, the other zone.
    pub taken_names: HashMap<Uuid, Uuid>,
}

/// The rows that cannot be restored, in the order of the ids, each with its first obstacle.
pub fn find(wanted: &[Uuid], rows: &[DeletedRow], surroundings: &Surroundings) -> Vec<(Uuid, String)> {
    let rows: HashMap<Uuid, &DeletedRow> = rows.iter().map(|row| (row.id, row)).collect();
    let obstacle = |id: &Uuid| match rows.get(id) {
        Some(row) => obstacle_of(row, surroundings),
        None => Some("is erased for good".to_owned()),
    };
    wanted.iter().filter_map(|id| Some((*id, obstacle(id)?))).collect()
}

fn obstacle_of(row: &DeletedRow, surroundings: &Surroundings) -> Option<String> {
    let gone = |id: Option<Uuid>, live: &HashSet<Uuid>| id.filter(|id| !live.contains(id));
    gone(Some(row.customer_id), &surroundings.customers)
        .map(|id| format!("its customer {id} is deleted"))
        .or_else(|| Some(set_on("sub-customer", gone(row.sub_customer_id, &surroundings.customers)?)))
        .or_else(|| Some(set_on("subscriber", gone(row.subscriber_id, &surroundings.subscribers)?)))
        .or_else(|| Some(set_on("sell plan", gone(row.sell_plan_id, &surroundings.sell_plans)?)))
        .or_else(|| Some(format!("its name is taken by the zone {}", surroundings.taken_names.get(&row.id)?)))
}

fn set_on(entity: &str, id: Uuid) -> String {
    format!("the {entity} {id} it is set on is deleted")
}
