//! Single deleted rows, or the rows that one operation deleted, whatever their age.

use uuid::Uuid;

use super::eraser::Eraser;
use super::kind::Kind;
use super::of_customer::require_all;
use super::record::Request;
use super::statements::{self, Due, Present};
use crate::maintenance::MaintenanceError;
use crate::maintenance::operations::require;
use crate::resource::Resource;

/// Erases deleted rows by their ids. An unknown or live row refuses all of them.
pub async fn erase(eraser: &mut Eraser, resource: Resource, ids: &[Uuid]) -> Result<(), MaintenanceError> {
    let rows = statements::present(&mut eraser.session, Kind::Of(resource), ids).await?;
    let deleted = ids_of(&rows, |row| !row.live);
    if !ids.iter().all(|id| deleted.contains(id)) {
        return Err(refusal(resource, ids, &rows));
    }
    let request = Request { kind: resource.word(), subject_ids: ids.to_vec(), ..Request::default() };
    erase_deleted(eraser, resource, &deleted, None, request).await
}

/// Erases the rows that an operation deleted. The operation itself is kept for its own age.
pub async fn erase_of_operation(eraser: &mut Eraser, id: Uuid) -> Result<(), MaintenanceError> {
    let refused = |problem| MaintenanceError::refused("erased", problem);
    let deletion = require(&mut eraser.session, id, "erased").await?;
    let resource = deletion.parse(&deletion.resource).map_err(refused)?;
    let rows = statements::present(&mut eraser.session, Kind::Of(resource), &deletion.target_ids).await?;
    let ids = ids_of(&rows, |row| !row.live && row.deleted_by == Some(id));
    if ids.is_empty() {
        return Err(refused(format!("no row is left that operation {id} deleted")));
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
    eraser.erase(Kind::Of(resource), Due { operation, ..Due::ANY_AGE }, ids).await?;
    let rows = statements::present(&mut eraser.session, Kind::Of(resource), ids).await?;
    require_all(eraser, 0, restored(resource, &rows, operation))
}

fn ids_of(rows: &[Present], is_wanted: impl Fn(&Present) -> bool) -> Vec<Uuid> {
    rows.iter().filter(|row| is_wanted(row)).map(|row| row.id).collect()
}

/// Names each row that a restore took from the purge.
fn restored(resource: Resource, rows: &[Present], operation: Option<Uuid>) -> Option<String> {
    let live = ids_of(rows, |row| row.live).into_iter().map(|id| (id, "is live again"));
    let deleted_again = ids_of(rows, |row| !row.live && operation.is_some() && row.deleted_by != operation);
    let deleted_again = deleted_again.into_iter().map(|id| (id, "was restored and deleted again"));
    let lines = live.chain(deleted_again).map(|(id, state)| format!("\n  {} {id} {state}", resource.word()));
    let lines: Vec<String> = lines.collect();
    (!lines.is_empty()).then(|| format!("restored meanwhile, and not erased: {}{}", lines.len(), lines.concat()))
}

/// Names each row that is unknown or live.
fn refusal(resource: Resource, ids: &[Uuid], rows: &[Present]) -> MaintenanceError {
    let lines = ids.iter().filter_map(|id| {
        let problem = match rows.iter().find(|row| row.id == *id) {
            Some(row) if row.live => "is live: delete it first",
            Some(_) => return None,
            None => "is unknown, or erased already",
        };
        Some(format!("\n  {} {id} {problem}", resource.word()))
    });
    MaintenanceError::Refused(format!("nothing is erased:{}", lines.collect::<String>()))
}
