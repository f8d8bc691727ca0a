//! Everything of one customer that may go, whatever its age: what data protection asks for.

use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

use super::eraser::Eraser;
use super::statements::{self, Belonging, Due};
use crate::maintenance::MaintenanceError;
use crate::resource::Resource;

/// Later than any deletion.
const EVER: OffsetDateTime = datetime!(9999-12-31 0:00 UTC);

/// Erases the deleted rows of a customer. Of a deleted customer everything goes, the customer too.
pub async fn erase(eraser: &mut Eraser, id: Uuid) -> Result<(), MaintenanceError> {
    let Some(customer) = statements::find_customer(&mut eraser.session, id).await? else {
        return Err(MaintenanceError::Refused(format!("no customer has the id {id}; nothing of it is left to erase")));
    };
    let due = Due { before: EVER, customer: (!customer.live).then_some(id) };
    for resource in Resource::ALL {
        let ids = statements::of_customer(&mut eraser.session, resource, id, !customer.live).await?;
        eraser.erase(resource, &ids, due).await?;
    }
    if customer.live {
        return require_all(eraser);
    }
    if eraser.dry_run { count_the_rest(eraser, id).await } else { erase_the_rest(eraser, id, customer.below).await }
}

/// Somebody asked for the erasure, and is told that it is done. So what is left is an error.
fn require_all(eraser: &Eraser) -> Result<(), MaintenanceError> {
    match eraser.tally.in_use {
        0 => Ok(()),
        rows => Err(MaintenanceError::Incomplete(format!("{rows} rows are in use; purge the customer again later"))),
    }
}

async fn count_the_rest(eraser: &mut Eraser, id: Uuid) -> Result<(), MaintenanceError> {
    for kind in Belonging::ALL {
        let count = statements::count_belongings(&mut eraser.session, kind, id).await?;
        eraser.tally.add(kind.word(), count.unsigned_abs());
    }
    eraser.tally.add("customer", 1);
    Ok(())
}

async fn erase_the_rest(eraser: &mut Eraser, id: Uuid, below: i64) -> Result<(), MaintenanceError> {
    for kind in Belonging::ALL {
        if !eraser.erase_belongings(kind, id).await? {
            eraser.tally.in_use += 1;
        }
    }
    require_all(eraser)?;
    if below > 0 {
        let problem = format!("customer {id} itself stays, because {below} customers are below it; its data is erased");
        return Err(MaintenanceError::Incomplete(problem));
    }
    if !eraser.erase_customer(id).await? {
        let problem = format!("customer {id} itself stays, because something still refers to it");
        return Err(MaintenanceError::Incomplete(problem));
    }
    Ok(())
}
