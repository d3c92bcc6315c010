//! The order in which an output becomes durable (rules R1, R2).
//!
//! First the records, synced, and with them all that the execution half wrote before; then the sign guard; then the caller may
//! send. So a crash at any point leaves a vertex that the guard does not cover yet, never a guard that covers a vertex which
//! is lost: with such guards a quorum of validators that lost power in the same round could not complete that round any
//! more. What the guard does not cover was never sent; a restart raises the guard to it.

use crate::record::{Record, SignGuardRecord};
use holdfast_types::mutant::{self, Mutant};

/// What records are written to.
pub trait Durable {
    type Error;

    /// Refuses guard records that the guard would not be raised to, before anything is written.
    fn check_guard(&self, records: &[&SignGuardRecord]) -> Result<(), Self::Error>;

    /// Writes records in one atomic batch.
    fn write(&mut self, records: &[Record]) -> Result<(), Self::Error>;

    /// Makes everything written so far survive the death of the machine.
    fn sync(&mut self) -> Result<(), Self::Error>;

    /// Raises the guard through the records, in their order, durably.
    fn raise_guard(&mut self, records: &[&SignGuardRecord]) -> Result<(), Self::Error>;
}

/// Makes the records of outputs durable. When this has returned, and only then, the outputs may be sent.
pub fn make_durable<D: Durable>(records: &[Record], to: &mut D) -> Result<(), D::Error> {
    let mut guards = Vec::new();
    let mut others = Vec::with_capacity(records.len());
    for record in records {
        match record {
            Record::SignGuard(guard) => guards.push(guard.as_ref()),
            other => others.push(other.clone()),
        }
    }
    to.check_guard(&guards)?;
    if mutant::is_on(Mutant::GuardBeforeVertex) && !guards.is_empty() {
        to.raise_guard(&guards)?;
    }
    if !others.is_empty() {
        to.write(&others)?;
    }
    // What is signed may speak of blocks that were written, not synced.
    let is_synced = !mutant::is_on(Mutant::SendBeforeSync);
    if is_synced && (!guards.is_empty() || others.iter().any(Record::is_synced)) {
        to.sync()?;
    }
    if !guards.is_empty() {
        to.raise_guard(&guards)?;
    }
    Ok(())
}
