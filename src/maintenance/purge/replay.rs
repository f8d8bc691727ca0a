//! `--replay`: erases what the ledger says that earlier purges erased, in a database that was
//! recovered from a backup.

use std::path::Path;

use super::eraser::Eraser;
use super::ledger::{Batch, Check, Fate, Line, Lines};
use super::of_customer::require_all;
use super::record::Request;
use super::statements::{self, Due, Erasable};
use crate::maintenance::MaintenanceError;

/// Erases the rows of all batches that were committed, live ones too. Of a batch that may have been
/// committed or not, it erases the deleted rows, which were due anyway, and names the batch if live
/// rows are left.
///
/// A purge that had ended before the backup has nothing to repeat. If its ids are there again,
/// somebody inserted them later.
pub async fn replay(eraser: &mut Eraser, path: &Path) -> Result<(), MaintenanceError> {
    // Nothing is erased by a ledger that is damaged further down.
    let check = Check::of(path).map_err(|error| MaintenanceError::refused("erased", error))?;
    eraser.begin(Request { kind: "replay", ..Request::default() }).await?;
    let ended = statements::ended_purges(&mut eraser.session).await?;
    let (mut lines, mut undecided) = (Lines::open(path)?, Vec::new());
    while let Some(line) = lines.read()? {
        let Line::Batch(batch) = line else { continue };
        if ended.contains(&batch.purge) {
            continue;
        }
        match check.fate(&batch) {
            Fate::Committed => erase_again(eraser, &batch, true).await.map(|_| ())?,
            Fate::Aborted => {}
            Fate::Unknown => undecided.extend(erase_undecided(eraser, &batch).await?),
        }
    }
    require_all(eraser, 0, undecided)
}

/// Returns the number of live rows that are left.
async fn erase_again(eraser: &mut Eraser, batch: &Batch, live_too: bool) -> Result<usize, MaintenanceError> {
    let mut live_left = 0;
    for ids in batch.ids.chunks(eraser.batch_size) {
        let present = statements::present(&mut eraser.session, batch.kind, ids).await?;
        let (left, due): (Vec<_>, Vec<_>) = present.into_iter().partition(|row| row.live && !live_too);
        live_left += left.len();
        let due: Vec<Erasable> = due.into_iter().map(|row| Erasable { id: row.id, holder: row.holder }).collect();
        eraser.erase_unless_on_hold(batch.kind, Due { live_too, ..Due::ANY_AGE }, &due).await?;
    }
    Ok(live_left)
}

async fn erase_undecided(eraser: &mut Eraser, batch: &Batch) -> Result<Option<String>, MaintenanceError> {
    let live_left = erase_again(eraser, batch, false).await?;
    let Batch { purge, batch: number, xid, kind, .. } = batch;
    let word = kind.word();
    Ok((live_left > 0).then(|| {
        format!(
            "the ledger does not show whether batch {number} of purge {purge} was committed; {live_left} of its {word} rows are \
             live and stay; run `select pg_xact_status('{xid}')` on the server of that purge"
        )
    }))
}
