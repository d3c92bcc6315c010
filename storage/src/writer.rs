//! Where outputs of the replica become durable: the database and the sign guard, in the replica's order.

use crate::error::StorageError;
use crate::guard::{GuardError, SignGuardFile};
use crate::storage::Storage;
use holdfast_replica::durable::{Durable, make_durable};
use holdfast_replica::{Record, SignGuardRecord};
use std::sync::Arc;

/// Makes the records of an output durable. When [`Self::commit`] has returned, and only then, the output may be sent.
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
        // A peer that asks at this moment must not get a vertex that the guard does not cover, nor after a failure.
        self.storage.withhold_own(records);
        make_durable(records, self)?;
        self.storage.withhold_nothing();
        Ok(())
    }
}

impl Durable for RecordWriter {
    type Error = StorageError;

    fn check_guard(&self, records: &[&SignGuardRecord]) -> Result<(), StorageError> {
        if records.is_empty() {
            return Ok(());
        }
        let checked = match &self.guard {
            Some(guard) => guard
                .check_through(records)
                .map_err(|error| refused(&error)),
            None => Err(StorageError::Guard {
                reason: String::from("this node has no sign guard"),
            }),
        };
        checked.map_err(|error| self.storage.database.fail(error))
    }

    fn write(&mut self, records: &[Record]) -> Result<(), StorageError> {
        self.storage.write_records(records)
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        self.storage.sync()
    }

    fn raise_guard(&mut self, records: &[&SignGuardRecord]) -> Result<(), StorageError> {
        let Some(guard) = &mut self.guard else {
            return self.check_guard(records);
        };
        let raised = guard.raise_through(records);
        raised.map_err(|error| self.storage.database.fail(refused(&error)))
    }
}

fn refused(error: &GuardError) -> StorageError {
    StorageError::Guard {
        reason: error.to_string(),
    }
}
