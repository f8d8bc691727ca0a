//! Erases everything of one customer that may be erased, whatever its age, for data protection.

use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

use super::eraser::Eraser;
use super::record::Request;
use super::statements::{self, Belonging, Due};
use crate::maintenance::MaintenanceError;
use crate::resource::Resource;

/// Later than any deletion.
pub const EVER: OffsetDateTime = datetime!(9999-12-31 0:00 UTC);

/// Erases the deleted rows of a customer. For a deleted customer, erases all of its rows and the customer.
pub async fn erase(eraser: &mut Eraser, id: Uuid) -> Result<(), MaintenanceError> {
    let Some(customer) = statements::find_customer(&mut eraser.session, id).await? else {
        return Err(MaintenanceError::Refused(format!("no customer has the id {id}; nothing of it is left to erase")));
    };
    eraser.begin(Request { kind: "customer", subject_ids: vec![id], ..Request::default() }).await?;
    let due = Due { before: EVER, customer: (!customer.live).then_some(id) };
    for resource in Resource::ALL {
        let ids = statements::of_customer(&mut eraser.session, resource, id, !customer.live).await?;
        eraser.erase(resource, &ids, due).await?;
    }
    if customer.live {
        return require_all(eraser, 0);
    }
    erase_the_rest(eraser, id, customer.below).await
}

/// Rows that are left are an error, because the person who asked for the erasure relies on it. The error says what to do.
pub fn require_all(eraser: &Eraser, below: i64) -> Result<(), MaintenanceError> {
    let tally = &eraser.tally;
    let held = match tally.held {
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
    let refused = eraser.refusals.written();
    let reasons: Vec<String> = held.into_iter().chain(in_use).chain(own_row).chain(refused).collect();
    if reasons.is_empty() { Ok(()) } else { Err(MaintenanceError::Incomplete(reasons.join("; "))) }
}

async fn erase_the_rest(eraser: &mut Eraser, id: Uuid, below: i64) -> Result<(), MaintenanceError> {
    // The summary has a line for each, whatever is erased.
    Belonging::ALL.map(Belonging::word).into_iter().chain(["customer"]).for_each(|word| eraser.tally.add(word, 0));
    for kind in Belonging::ALL {
        eraser.erase_belongings(kind, id).await?;
    }
    require_all(eraser, below)?;
    eraser.erase_customer(id).await?;
    require_all(eraser, below)
}
