//! Halts, their journal, and evidence that waits: what has to survive whatever stops the node.

use crate::column_family::ColumnFamily;
use crate::database::{Batch, decode};
use crate::error::StorageError;
use crate::keys;
use crate::storage::Storage;
use holdfast_halt::{HaltState, JournalEntry};
use holdfast_types::{Evidence, Hash32};
use rocksdb::Direction;

impl Storage {
    /// What is known of halts; the default if nothing is.
    pub fn halt_state(&self) -> Result<HaltState, StorageError> {
        let row = self
            .database
            .row(ColumnFamily::Halts, keys::HALT_STATE_KEY)?;
        Ok(row.unwrap_or_default())
    }

    /// At most `limit` entries of the halt journal from `first` on.
    pub fn halt_journal(
        &self,
        first: u64,
        limit: usize,
    ) -> Result<Vec<JournalEntry>, StorageError> {
        let from = keys::sequence_key(first);
        let mut entries = Vec::new();
        let rows = self
            .database
            .scan(ColumnFamily::HaltJournal, &from, Direction::Forward);
        for row in rows.take(limit) {
            let (_, bytes) = row?;
            entries.push(decode(ColumnFamily::HaltJournal, &bytes)?);
        }
        Ok(entries)
    }

    /// Evidence that waits to be executed, by slot key.
    pub fn evidence(&self) -> Result<Vec<Evidence>, StorageError> {
        let mut evidence = Vec::new();
        for row in self.database.scan_all(ColumnFamily::Evidence) {
            let (_, bytes) = row?;
            evidence.push(decode(ColumnFamily::Evidence, &bytes)?);
        }
        Ok(evidence)
    }
}

pub(crate) fn put_halt_state(batch: &mut Batch<'_>, state: &HaltState) {
    batch.put_row(ColumnFamily::Halts, keys::HALT_STATE_KEY, state);
}

pub(crate) fn put_journal_entry(batch: &mut Batch<'_>, entry: &JournalEntry) {
    let key = keys::sequence_key(entry.index);
    batch.put_row(ColumnFamily::HaltJournal, &key, entry);
}

pub(crate) fn put_evidence(batch: &mut Batch<'_>, evidence: &Evidence) {
    batch.put_row(ColumnFamily::Evidence, &evidence.slot_key(), evidence);
}

pub(crate) fn remove_evidence(batch: &mut Batch<'_>, slots: &[Hash32]) {
    for slot in slots {
        batch.delete(ColumnFamily::Evidence, slot);
    }
}
