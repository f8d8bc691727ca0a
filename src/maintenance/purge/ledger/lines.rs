//! Reads a ledger.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::{Batch, LedgerError, Line};

/// Every line begins with this.
const BEGINNING: &[u8] = br#"{"purge":""#;

/// The lines of a ledger, one after the other. A large ledger is never in memory as a whole.
pub struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    number: u64,
    /// The bytes of the lines so far.
    length: u64,
}

impl Lines {
    pub fn open(path: &Path) -> Result<Lines, LedgerError> {
        let file = File::open(path).map_err(|error| LedgerError::of_file(path, &error))?;
        Ok(Lines { path: path.to_owned(), reader: BufReader::new(file), number: 0, length: 0 })
    }

    /// Returns `None` at the end, and for a last line that was cut when it was written.
    pub fn read(&mut self) -> Result<Option<Line>, LedgerError> {
        let mut text = Vec::new();
        let read = self.reader.read_until(b'\n', &mut text);
        let length = read.map_err(|error| LedgerError::of_file(&self.path, &error))?;
        self.number += 1;
        if text.last() != Some(&b'\n') {
            return if is_cut(&text) { Ok(None) } else { Err(self.damaged("is not a line of a ledger")) };
        }
        self.length += length as u64;
        serde_json::from_slice(&text).map(Some).map_err(|_| self.damaged("is not a line of a ledger"))
    }

    fn damaged(&self, problem: &str) -> LedgerError {
        LedgerError::new(&self.path, format!("is damaged: line {}: {problem}", self.number))
    }
}

/// Whether this may be a truncated last line: the beginning of a line, or the zero bytes that a
/// crash of the machine can leave. The file of another program is neither.
fn is_cut(text: &[u8]) -> bool {
    let common = text.len().min(BEGINNING.len());
    text[..common] == BEGINNING[..common] || text.iter().all(|byte| *byte == 0)
}

/// A ledger that was read to its end.
#[derive(Debug, Default)]
pub struct Check {
    last_batches: HashMap<Uuid, u64>,
    /// The batches without an end, and those that were rolled back.
    fates: HashMap<(Uuid, u64), Fate>,
    /// The bytes of its whole lines.
    pub length: u64,
}

/// The end of a batch, as far as the ledger knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Committed,
    Aborted,
    Unknown,
}

impl Check {
    /// Reads all of a ledger.
    ///
    /// # Errors
    ///
    /// A line is malformed, or a batch is missing between two others.
    pub fn of(path: &Path) -> Result<Check, LedgerError> {
        let (mut lines, mut check) = (Lines::open(path)?, Check::default());
        while let Some(line) = lines.read()? {
            check.add(&line).map_err(|problem| lines.damaged(&problem))?;
        }
        Ok(Check { length: lines.length, ..check })
    }

    pub fn fate(&self, batch: &Batch) -> Fate {
        self.fates.get(&(batch.purge, batch.batch)).copied().unwrap_or(Fate::Committed)
    }

    fn add(&mut self, line: &Line) -> Result<(), String> {
        match line {
            Line::Batch(Batch { purge, batch, .. }) => {
                let last = self.last_batches.entry(*purge).or_default();
                if *batch != *last + 1 {
                    return Err(format!("batch {batch} of purge {purge} follows batch {last}"));
                }
                *last = *batch;
                self.fates.insert((*purge, *batch), Fate::Unknown);
            }
            Line::End(end) => {
                let key = (end.purge, end.batch);
                if self.fates.remove(&key) != Some(Fate::Unknown) {
                    return Err(format!("batch {} of purge {} ends without its ids", end.batch, end.purge));
                }
                if !end.committed {
                    self.fates.insert(key, Fate::Aborted);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BatchEnd, Ledger};
    use super::*;
    use crate::maintenance::purge::kind::Kind;

    const PURGE: Uuid = Uuid::from_u128(7);

    fn batch(number: u64) -> Line {
        let (xid, ids) = ("4711".to_owned(), vec![Uuid::from_u128(8)]);
        Line::Batch(Batch { purge: PURGE, batch: number, xid, kind: Kind::Customer, ids })
    }

    fn end(number: u64, committed: bool) -> Line {
        Line::End(BatchEnd { purge: PURGE, batch: number, committed })
    }

    fn check(lines: &[Line]) -> Result<Check, String> {
        let mut check = Check::default();
        lines.iter().try_for_each(|line| check.add(line)).map(|()| check)
    }

    fn fate(check: &Check, number: u64) -> Fate {
        let Line::Batch(batch) = batch(number) else { unreachable!("it is one") };
        check.fate(&batch)
    }

    #[test]
    fn a_batch_was_committed_if_its_end_says_so() {
        let read = check(&[batch(1), end(1, true), batch(2), end(2, false), batch(3)]).unwrap();
        assert_eq!([1, 2, 3].map(|number| fate(&read, number)), [Fate::Committed, Fate::Aborted, Fate::Unknown]);
    }

    #[test]
    fn a_gap_is_noticed() {
        let gaps: [&[Line]; 5] = [
            &[batch(2)],
            &[batch(1), batch(3)],
            &[batch(1), batch(1)],
            &[end(1, true)],
            &[batch(1), end(1, true), end(1, true)],
        ];
        for lines in gaps {
            assert!(check(lines).is_err(), "{lines:?}");
        }
    }

    #[test]
    fn a_cut_last_line_is_removed_and_any_other_damage_is_refused() {
        let folder = std::env::temp_dir().join(format!("ledger-{}", Uuid::now_v7()));
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("ledger");
        let whole = format!("{}\n", serde_json::json!(batch(1)));
        std::fs::write(&path, format!("{whole}{}", &whole[..20])).unwrap();
        drop(Ledger::open(&path).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), whole);

        for damaged in [
            "\n".to_owned(),
            format!("{}\n{whole}", &whole[..20]),
            "{}\n".to_owned(),
            whole.replace("customer", "all"),
            // The file of another program.
            "a secret in one line".to_owned(),
            "{".to_owned() + "}",
        ] {
            std::fs::write(&path, &damaged).unwrap();
            assert!(Ledger::open(&path).is_err(), "{damaged}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), damaged);
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
