//! The order in which an output becomes durable.

use crate::error::StorageError;
use crate::guard::SignGuardFile;
use crate::storage::Storage;
use holdfast_replica::Record;
use std::sync::Arc;

/// Makes the records of an output durable: the sign guard first, then one batch, then one sync. When
/// [`Self::commit`] has returned, and only then, the output may be sent.
#[derive(Debug)]
pub struct RecordWriter {
    storage: Arc<Storage>,
    guard: Option<SignGuardFile>,
}

impl RecordWriter {
    /// `guard` is none on a node that does not sign; a guard record is then an error.
    #[must_use]
    pub const fn new(storage: Arc<Storage>, guard: Option<SignGuardFile>) -> Self {
        Self { storage, guard }
    }

    #[must_use]
    pub const fn guard(&self) -> Option<&SignGuardFile> {
        self.guard.as_ref()
    }

    /// Fail-stop: after the first error every call returns it.
    pub fn commit(&mut self, records: &[Record]) -> Result<(), StorageError> {
        self.storage.database.check_alive()?;
        let mut guard_records = Vec::new();
        let mut others = Vec::with_capacity(records.len());
        for record in records {
            match record {
                Record::SignGuard(record) => guard_records.push(record),
                other => others.push(other.clone()),
            }
        }
        self.raise(&guard_records)
            .map_err(|error| self.storage.database.fail(error))?;
        self.storage.commit_records(&others)
    }

    fn raise(
        &mut self,
        records: &[&holdfast_replica::SignGuardRecord],
    ) -> Result<(), StorageError> {
        if records.is_empty() {
            return Ok(());
        }
        let guard = self.guard.as_mut().ok_or_else(|| StorageError::Guard {
            reason: String::from("this node has no sign guard"),
        })?;
        guard
            .raise_through(records)
            .map_err(|error| StorageError::Guard {
                reason: error.to_string(),
            })
    }
}
