//! What a node has on its disk, and what a crash leaves of it.
//!
//! Like the database of the node, the disk is one log of atomic writes: what was written is seen at once, and is safe when
//! the log is synced. A crash may lose writes since the last sync, but never one without all those after it. The sign guard
//! is a file of its own, synced with each write.

mod tables;

pub use tables::Tables;

use crate::random::Random;
use holdfast_chain::{ChainBatch, ChainStore};
use holdfast_replica::{Record, SignGuardRecord};
use holdfast_types::{BlockId, Era, Height, TransactionId, VertexRef};
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
    /// What was durable at some time, and the durable writes since then: only a crash puts them together.
    base: Tables,
    synced: Vec<Write>,
    unsynced: Vec<Write>,
    guard: Option<SignGuardRecord>,
}

/// Durable writes that are kept apart.
const SYNCED_MAX: usize = 20_000;

impl Disk {
    /// A new disk, with the guard of a key that has signed nothing.
    #[must_use]
    pub fn new(genesis: ChainBatch, guard: Option<SignGuardRecord>) -> Self {
        let mut disk = Self::empty().with_guard(guard);
        disk.write(Write::Chain(Arc::new(genesis)));
        disk.sync();
        disk
    }

    /// A disk without a chain.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            now: Tables::default(),
            base: Tables::default(),
            synced: Vec::new(),
            unsynced: Vec::new(),
            guard: None,
        }
    }

    /// Reads again what is durable.
    pub fn rebuild(&mut self) {
        self.rebase();
        self.now = self.base.clone();
    }

    /// What a reader sees.
    #[must_use]
    pub const fn now(&self) -> &Tables {
        &self.now
    }

    /// True if no crash can take this vertex.
    #[must_use]
    pub fn keeps_vertex(&self, era: Era, reference: VertexRef) -> bool {
        let is_new = self.records().any(|record| match record {
            Record::OwnVertex(vertex) | Record::PeerVertex(vertex) => {
                vertex.header().era == era && vertex.reference() == reference
            }
            _ => false,
        });
        self.now.holds(era, reference) && !is_new
    }

    /// True if no crash can take this block.
    #[must_use]
    pub fn keeps_block(&self, height: Height, id: BlockId) -> bool {
        let is_new = self.unsynced.iter().any(|write| match write {
            Write::Chain(batch) => batch.apply.iter().any(|applied| applied.id == id),
            Write::Records(_) => false,
        });
        self.now.block_id_at(height) == Ok(Some(id)) && !is_new
    }

    /// True if no crash can take this transaction from the mempool.
    #[must_use]
    pub fn keeps_transaction(&self, id: &TransactionId) -> bool {
        let is_new = self.records().any(
            |record| matches!(record, Record::MempoolInsert(transaction) if transaction.id() == *id),
        );
        self.now.queues(id) && !is_new
    }

    fn records(&self) -> impl Iterator<Item = &Record> {
        let writes = self.unsynced.iter().filter_map(|write| match write {
            Write::Records(records) => Some(records.iter()),
            Write::Chain(_) => None,
        });
        writes.flatten()
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
        self.synced.append(&mut self.unsynced);
        if self.synced.len() > SYNCED_MAX {
            self.rebase();
        }
    }

    fn rebase(&mut self) {
        for write in self.synced.drain(..) {
            self.base.apply(&write);
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
        if kept < self.unsynced.len() {
            self.unsynced.truncate(kept);
            self.synced.append(&mut self.unsynced);
            self.rebuild();
        } else {
            self.sync();
        }
    }
}
