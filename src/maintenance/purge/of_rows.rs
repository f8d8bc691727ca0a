//! Single deleted rows, or the rows that one operation deleted, whatever their age.

use uuid::Uuid;

use super::eraser::Eraser;
use super::kind::Kind;
use super::of_customer::require_all;
use super::record::Request;
use super::statements::{self, Due};
use crate::maintenance::{MaintenanceError, deletion};
use crate::operation::Stored;
use crate::resource::Resource;

/// Erases deleted rows by their ids. An unknown or live row refuses all of them.
pub async fn erase(eraser: &mut Eraser, resource: Resource, ids: &[Uuid]) -> Result<(), MaintenanceError> {
    let deleted = statements::deleted_rows(&mut eraser.session, resource, ids, None).await?;
    let others: Vec<Uuid> = ids.iter().copied().filter(|id| !deleted.contains(id)).collect();
    if !others.is_empty() {
        return Err(refusal(eraser, resource, &others).await?);
    }
    let request = Request { kind: resource.word(), subject_ids: ids.to_vec(), ..Request::default() };
    erase_deleted(eraser, resource, &deleted, None, request).await
}

/// Erases the rows that an operation deleted. The operation itself is kept for its own age.
pub async fn erase_of_operation(eraser: &mut Eraser, id: Uuid) -> Result<(), MaintenanceError> {
    let Some(deletion) = deletion::find(&mut eraser.session, id).await? else {
        return Err(MaintenanceError::Refused(format!("nothing is erased: no operation has the id {id}")));
    };
    let resource = match deletion.resource {
        Stored::Known(resource) => resource,
        Stored::Unknown(word) => {
            let problem = format!(
                "nothing is erased: operation {id} has the word `{word}`, which this build does not know; run the newer build"
            );
            return Err(MaintenanceError::Refused(problem));
        }
    };
    let ids = statements::deleted_rows(&mut eraser.session, resource, &deletion.target_ids, Some(id)).await?;
    if ids.is_empty() {
        let problem = format!("nothing is erased: no row is left that operation {id} deleted");
        return Err(MaintenanceError::Refused(problem));
    }
    let request = Request { kind: "operation", subject_ids: vec![id], ..Request::default() };
    erase_deleted(eraser, resource, &ids, Some(id), request).await
}

async fn erase_deleted(
    eraser: &mut Eraser,
    resource: Resource,
    ids: &[Uuid],
    operation: Option<Uuid>,
    request: Request,
) -> Result<(), MaintenanceError> {
    eraser.begin(request).await?;
    eraser.erase(Kind::Of(resource), Due { operation, ..Due::EVER }, ids).await?;
    let restored = restored(eraser, resource, ids, operation).await?;
    require_all(eraser, 0, restored)
}

/// Names each row that a restore took from the purge.
async fn restored(
    eraser: &mut Eraser,
    resource: Resource,
    ids: &[Uuid],
    operation: Option<Uuid>,
) -> sqlx::Result<Option<String>> {
    let session = &mut eraser.session;
    let live = statements::live_rows(session, resource, ids).await?;
    let deleted = statements::deleted_rows(session, resource, ids, None).await?;
    let left = statements::deleted_rows(session, resource, ids, operation).await?;
    let deleted_again =
        deleted.into_iter().filter(|id| !left.contains(id)).map(|id| (id, "was restored and deleted again"));
    let rows: Vec<_> = live.into_iter().map(|id| (id, "is live again")).chain(deleted_again).collect();
    let lines: String = rows.iter().map(|(id, state)| format!("\n  {} {id} {state}", resource.word())).collect();
    Ok((!rows.is_empty()).then(|| format!("restored meanwhile, and not erased: {}{lines}", rows.len())))
}

/// Names each row that is unknown or live.
async fn refusal(eraser: &mut Eraser, resource: Resource, ids: &[Uuid]) -> Result<MaintenanceError, MaintenanceError> {
    let live = statements::live_rows(&mut eraser.session, resource, ids).await?;
    let lines = ids.iter().map(|id| {
        let problem = if live.contains(id) { "is live: delete it first" } else { "is unknown, or erased already" };
        format!("\n  {} {id} {problem}", resource.word())
    });
    Ok(MaintenanceError::Refused(format!("nothing is erased:{}", lines.collect::<String>())))
}
