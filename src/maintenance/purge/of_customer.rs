//! Erases everything of one customer that may be erased, whatever its age, for data protection.

use uuid::Uuid;

use super::eraser::Eraser;
use super::kind::Kind;
use super::record::Request;
use super::statements::{self, Due};
use crate::maintenance::{MaintenanceError, hold};
use crate::resource::Resource;

/// Erases the deleted rows of a customer, and the actors of the operations that it sent. For a
/// deleted customer, erases all of its rows and the customer.
pub async fn erase(eraser: &mut Eraser, id: Uuid) -> Result<(), MaintenanceError> {
    let Some(customer) = statements::find_customer(&mut eraser.session, id).await? else {
        return Err(MaintenanceError::Refused(format!("no customer has the id {id}; nothing of it is left to erase")));
    };
    if let Some(hold) = hold::list(&mut eraser.session, Some(id), false).await?.first() {
        return Err(MaintenanceError::refused("erased", hold));
    }
    eraser.begin(Request { kind: "customer", subject_ids: vec![id], ..Request::default() }).await?;
    let due = Due { customer: (!customer.live).then_some(id), ..Due::ANY_AGE };
    for resource in Resource::ALL {
        let ids = statements::of_customer(&mut eraser.session, Kind::Of(resource), id, !customer.live).await?;
        eraser.erase(Kind::Of(resource), due, &ids).await?;
    }
    eraser.tally.add(Kind::Actor.word(), 0);
    let actors = statements::actors_of_customer(&mut eraser.session, id).await?;
    eraser.erase_unless_on_hold(Kind::Actor, due, &actors).await?;
    if customer.live {
        return require_all(eraser, 0, None);
    }
    erase_the_rest(eraser, id, due, customer.below).await
}

/// Rows that are left are an error, because the person who asked for the erasure relies on it. The
/// error says what to do. `others` are reasons that the eraser does not know.
pub fn require_all(
    eraser: &Eraser,
    below: i64,
    others: impl IntoIterator<Item = String>,
) -> Result<(), MaintenanceError> {
    let tally = &eraser.tally;
    let locked = match tally.locked {
        0 => None,
        1 => Some("1 row is in use: purge again later".to_owned()),
        rows => Some(format!("{rows} rows are in use: purge again later")),
    };
    let in_use = tally.in_use().map(|(reference, rows)| format!("{}: {rows} ({})", reference.left, reference.remedy));
    let own_row = match below {
        0 => None,
        1 => Some("the customer's own row stays, because 1 customer is below it".to_owned()),
        rows => Some(format!("the customer's own row stays, because {rows} customers are below it")),
    };
    let kept = tally.on_hold().into_iter().chain(eraser.kept_rows.written());
    let reasons: Vec<String> = locked.into_iter().chain(in_use).chain(own_row).chain(kept).chain(others).collect();
    if reasons.is_empty() { Ok(()) } else { Err(MaintenanceError::Incomplete(reasons.join("; "))) }
}

async fn erase_the_rest(eraser: &mut Eraser, id: Uuid, due: Due, below: i64) -> Result<(), MaintenanceError> {
    // The summary has a line for each, even if nothing is erased.
    Kind::BELONGINGS.into_iter().chain([Kind::Customer]).for_each(|kind| eraser.tally.add(kind.word(), 0));
    for kind in Kind::BELONGINGS {
        let ids = statements::of_customer(&mut eraser.session, kind, id, true).await?;
        eraser.erase(kind, due, &ids).await?;
    }
    require_all(eraser, below, None)?;
    eraser.erase(Kind::Customer, due, &[id]).await?;
    require_all(eraser, below, None)
}
