//! The ledger of purges: a file with the ids of everything that they erased. It outlives the
//! database, and `replay` erases the ids again after a recovery from a backup.
//!
//! A batch is one line, which is flushed to disk before its transaction is committed. A second line
//! records whether it was committed or rolled back. So the ledger never lacks a committed batch. A
//! batch without its second line may have been committed or not.

mod lines;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

pub use self::lines::{Check, Fate, Lines};
use super::kind::Kind;
use super::{kept_rows, statements};
use crate::maintenance::MaintenanceError;

#[derive(Debug, thiserror::Error)]
#[error("the ledger {} {problem}", path.display())]
pub struct LedgerError {
    path: PathBuf,
    problem: String,
}

impl LedgerError {
    fn new(path: &Path, problem: impl Into<String>) -> LedgerError {
        LedgerError { path: path.to_owned(), problem: problem.into() }
    }

    fn of_file(path: &Path, error: &io::Error) -> LedgerError {
        LedgerError::new(path, format!("cannot be used: {error}"))
    }
}

/// One line.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    Batch(Batch),
    End(BatchEnd),
}

/// The rows of a transaction that is about to be committed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    pub purge: Uuid,
    /// The first batch of a purge is 1.
    pub batch: u64,
    /// For `pg_xact_status`, on the server that purged.
    pub xid: String,
    pub kind: Kind,
    pub ids: Vec<Uuid>,
}

/// The end of the transaction of a batch.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchEnd {
    pub purge: Uuid,
    pub batch: u64,
    pub committed: bool,
}

/// A ledger that is open for one purge.
pub struct Ledger {
    path: PathBuf,
    file: File,
    batches: u64,
}

impl Ledger {
    /// Opens or creates the file. Removes a truncated last line: a batch line was never committed,
    /// and a missing end leaves its batch undecided.
    pub fn open(path: &Path) -> Result<Ledger, LedgerError> {
        let failed = |error| LedgerError::of_file(path, &error);
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).mode(0o600).open(path).map_err(failed)?;
        file.try_lock().map_err(|error| match error {
            std::fs::TryLockError::WouldBlock => LedgerError::new(path, "is written by another process"),
            std::fs::TryLockError::Error(error) => failed(error),
        })?;
        let check = Check::of(path)?;
        file.set_len(check.length).and_then(|()| file.sync_all()).map_err(failed)?;
        sync_folder(path).map_err(failed)?;
        Ok(Ledger { path: path.to_owned(), file, batches: 0 })
    }

    fn begin(&mut self, purge: Uuid, xid: String, kind: Kind, ids: &[Uuid]) -> Result<(), LedgerError> {
        self.batches += 1;
        self.write(&Line::Batch(Batch { purge, batch: self.batches, xid, kind, ids: ids.to_vec() }))
    }

    fn end(&mut self, purge: Uuid, committed: bool) -> Result<(), LedgerError> {
        self.write(&Line::End(BatchEnd { purge, batch: self.batches, committed }))
    }

    fn write(&mut self, line: &Line) -> Result<(), LedgerError> {
        let text = format!("{}\n", serde_json::json!(line));
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|error| LedgerError::of_file(&self.path, &error))
    }
}

/// Makes a new file survive a crash of the machine.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Commits the transaction of a batch. With a ledger, its ids are written there before.
pub async fn commit(
    mut tx: Transaction<'_, Postgres>,
    ledger: Option<&mut Ledger>,
    purge: Uuid,
    kind: Kind,
    ids: &[Uuid],
) -> Result<(), MaintenanceError> {
    let Some(ledger) = ledger.filter(|_| !ids.is_empty()) else { return Ok(tx.commit().await?) };
    let xid = statements::transaction_id(&mut tx).await?;
    ledger.begin(purge, xid, kind, ids)?;
    match tx.commit().await {
        Ok(()) => Ok(ledger.end(purge, true)?),
        Err(error) => {
            // Any other error does not tell whether the transaction was committed.
            if kept_rows::is_about_a_row(&error) {
                ledger.end(purge, false)?;
            }
            Err(error.into())
        }
    }
}
