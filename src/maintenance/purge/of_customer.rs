//! Erases everything of one customer that may be erased, whatever its age, for data protection.

use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

use super::eraser::Eraser;
use super::kind::{Belonging, Kind};
use super::record::Request;
use super::rows::Rows;
use super::statements::{self, Due, Owner};
use crate::maintenance::{MaintenanceError, hold};
use crate::resource::Resource;

/// Later than any deletion.
pub const EVER: OffsetDateTime = datetime!(9999-12-31 0:00 UTC);

/// Erases the deleted rows of a customer, and the actors of the operations that it sent. For a deleted customer, erases all of its
/// rows and the customer.
pub async fn erase(eraser: &mut Eraser, id: Uuid) -> Result<(), MaintenanceError> {
    let Some(customer) = statements::find_customer(&mut eraser.session, id).await? else {
        return Err(MaintenanceError::Refused(format!("no customer has the id {id}; nothing of it is left to erase")));
    };
    if let Some(hold) = hold::list(&mut eraser.session, Some(id), false).await?.first() {
        return Err(MaintenanceError::Refused(format!("nothing is erased: {hold}")));
    }
    eraser.begin(Request { kind: "customer", subject_ids: vec![id], ..Request::default() }).await?;
    let due = Due { customer: (!customer.live).then_some(id), ..Due::before(EVER) };
    for resource in Resource::ALL {
        let ids = statements::of_customer(&mut eraser.session, resource, id, !customer.live).await?;
        eraser.erase(Rows::Of(resource, due), &ids).await?;
    }
    eraser.tally.add(Kind::Actor.word(), 0);
    let actors = statements::actors_of_customer(&mut eraser.session, id).await?;
    eraser.erase_records(Rows::Actors, &actors).await?;
    if customer.live {
        return require_all(eraser, 0);
    }
    erase_the_rest(eraser, id, customer.below).await
}

/// Rows that are left are an error, because the person who asked for the erasure relies on it. The error says what to do.
pub fn require_all(eraser: &Eraser, below: i64) -> Result<(), MaintenanceError> {
    let reasons = reasons(eraser, below);
    if reasons.is_empty() { Ok(()) } else { Err(MaintenanceError::Incomplete(reasons.join("; "))) }
}

/// The reasons why rows are left.
pub fn reasons(eraser: &Eraser, below: i64) -> Vec<String> {
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
    let kept = tally.on_hold().into_iter().chain(eraser.refusals.written());
    locked.into_iter().chain(in_use).chain(own_row).chain(kept).collect()
}

async fn erase_the_rest(eraser: &mut Eraser, id: Uuid, below: i64) -> Result<(), MaintenanceError> {
    // The summary has a line for each, whatever is erased.
    Belonging::ALL.map(Belonging::word).into_iter().chain(["customer"]).for_each(|word| eraser.tally.add(word, 0));
    for kind in Belonging::ALL {
        let ids = statements::belongings(&mut eraser.session, kind, id).await?;
        eraser.erase(Rows::Beside(kind, Owner { customer: Some(id), live_too: false }), &ids).await?;
    }
    require_all(eraser, below)?;
    eraser.erase(Rows::Customer { live_too: false }, &[id]).await?;
    require_all(eraser, below)
}
