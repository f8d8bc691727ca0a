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

/// The reason why one row cannot be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    #[error("is erased for good")]
    Erased,
    #[error("its customer {0} is deleted")]
    CustomerGone(Uuid),
    #[error("the sub-customer {0} it is set on is deleted")]
    SubCustomerGone(Uuid),
    #[error("the subscriber {0} it is set on is deleted")]
    SubscriberGone(Uuid),
    #[error("the sell plan {0} it is set on is deleted")]
    SellPlanGone(Uuid),
    #[error("its name is taken by the zone {0}")]
    NameTaken(Uuid),
}

/// The first obstacle of every row that has one, in the order of the ids.
pub fn find(wanted: &[Uuid], rows: &[DeletedRow], surroundings: &Surroundings) -> Vec<(Uuid, Obstacle)> {
    let rows: HashMap<Uuid, &DeletedRow> = rows.iter().map(|row| (row.id, row)).collect();
    let obstacle = |id: &Uuid| match rows.get(id) {
        Some(row) => obstacle_of(row, surroundings),
        None => Some(Obstacle::Erased),
    };
    wanted.iter().filter_map(|id| Some((*id, obstacle(id)?))).collect()
}

fn obstacle_of(row: &DeletedRow, surroundings: &Surroundings) -> Option<Obstacle> {
    let gone = |id: Option<Uuid>, live: &HashSet<Uuid>| id.filter(|id| !live.contains(id));
    gone(Some(row.customer_id), &surroundings.customers)
        .map(Obstacle::CustomerGone)
        .or_else(|| gone(row.sub_customer_id, &surroundings.customers).map(Obstacle::SubCustomerGone))
        .or_else(|| gone(row.subscriber_id, &surroundings.subscribers).map(Obstacle::SubscriberGone))
        .or_else(|| gone(row.sell_plan_id, &surroundings.sell_plans).map(Obstacle::SellPlanGone))
        .or_else(|| surroundings.taken_names.get(&row.id).copied().map(Obstacle::NameTaken))
}
