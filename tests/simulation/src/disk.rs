//! What a node has on its disk, and what a crash leaves of it.
//!
//! Like the database of the node, the disk is one log of atomic writes: what was written is seen at once, and is safe when
//! the log is synced. A crash may lose writes since the last sync, but never one without all those after it. The sign guard
//! is a file of its own, synced with each write.

mod tables;

pub use tables::Tables;

use crate::random::Random;
use holdfast_chain::ChainBatch;
use holdfast_replica::{Record, SignGuardRecord};
use std::sync::Arc;

/// One atomic write.
#[derive(Clone, Debug)]
pub enum Write {
    /// A step of the chain, by the execution half.
    Chain(Arc<ChainBatch>),
    /// Records of the replica.
    Records(Arc<[Record]>),
}

/// What a crash does to writes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    Everything,
    /// A suffix of random length.
    Suffix,
    /// The process died, the machine did not.
    Nothing,
}

impl Loss {
    pub const ALL: [Self; 3] = [Self::Everything, Self::Suffix, Self::Nothing];
}

/// The disk of one node.
#[derive(Clone, Debug)]
pub struct Disk {
    now: Tables,
    synced: Tables,
    unsynced: Vec<Write>,
    guard: Option<SignGuardRecord>,
}

impl Disk {
    /// A new disk, with the guard of a key that has signed nothing.
    #[must_use]
    pub fn new(genesis: ChainBatch, guard: Option<SignGuardRecord>) -> Self {
        let mut tables = Tables::default();
        tables.apply(&Write::Chain(Arc::new(genesis)));
        Self {
            now: tables.clone(),
            synced: tables,
            unsynced: Vec::new(),
            guard,
        }
    }

    /// What a reader sees.
    #[must_use]
    pub const fn now(&self) -> &Tables {
        &self.now
    }

    /// What no crash can take.
    #[must_use]
    pub const fn synced(&self) -> &Tables {
        &self.synced
    }

    #[must_use]
    pub const fn guard(&self) -> Option<&SignGuardRecord> {
        self.guard.as_ref()
    }

    /// The same data beside another guard.
    #[must_use]
    pub fn with_guard(self, guard: Option<SignGuardRecord>) -> Self {
        Self { guard, ..self }
    }

    pub fn write(&mut self, write: Write) {
        self.now.apply(&write);
        self.unsynced.push(write);
    }

    pub fn sync(&mut self) {
        for write in self.unsynced.drain(..) {
            self.synced.apply(&write);
        }
    }

    /// Raises the guard, durably.
    ///
    /// # Panics
    /// If that lowers it, or if there is none: the product's guard refuses both.
    pub fn raise_guard(&mut self, record: &SignGuardRecord) {
        let guard = self
            .guard
            .as_mut()
            .expect("a node that signs has a sign guard");
        let slot = |record: &SignGuardRecord| record.attestation.map(|a| (a.era, a.height));
        assert!(
            record.vertex >= guard.vertex && slot(record) >= slot(guard),
            "the sign guard would be lowered from {guard:?} to {record:?}"
        );
        guard.clone_from(record);
    }

    /// What is left after a crash.
    pub fn crash(&mut self, loss: Loss, random: &mut Random) {
        let kept = match loss {
            Loss::Everything => 0,
            Loss::Suffix => random.position(self.unsynced.len() + 1),
            Loss::Nothing => self.unsynced.len(),
        };
        self.unsynced.truncate(kept);
        self.sync();
        self.now = self.synced.clone();
    }
}
