//! What a node has on its disk, and what a crash leaves of it.
//!
//! Like the database of the node, the disk is one log of atomic writes: what was written is seen at once, and is safe when
//! the log is synced. A crash may lose writes since the last sync, but never one without all those after it. The sign guard
//! is a file of its own, synced with each write.

mod damage;
mod failing;
mod tables;
#[cfg(test)]
mod tests;

pub use damage::{Kind, Stored};
pub use failing::{Call, DiskError, Failure};
pub use tables::Tables;

use crate::random::Random;
use failing::Trouble;
use holdfast_chain::{ChainBatch, ChainStore};
use holdfast_replica::{Record, SignGuardRecord};
use holdfast_types::{BlockId, Era, Height, TransactionId, VertexRef};
use std::collections::BTreeSet;
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
    /// Random bytes stand from one of them on. The log has a checksum in each record and is read up to the first that does
    /// not check: that write is lost and all those after it. (If records that check follow one that does not, the store
    /// does not open; what the operator does then is another fault.)
    Torn,
    /// The process died, the machine did not.
    Nothing,
}

impl Loss {
    pub const ALL: [Self; 4] = [Self::Everything, Self::Suffix, Self::Torn, Self::Nothing];
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
    /// Taken back by the chain, and the replica has not said yet what becomes of them: the running process knows it.
    returned: BTreeSet<TransactionId>,
    trouble: Trouble,
}

/// Durable writes that are kept apart.
const SYNCED_MAX: usize = 20_000;

impl Disk {
    /// A new disk, with the guard of a key that has signed nothing.
    #[must_use]
    pub fn new(genesis: ChainBatch, guard: Option<SignGuardRecord>) -> Self {
        let mut disk = Self::empty().with_guard(guard);
        disk.put(Write::Chain(Arc::new(genesis)));
        disk.keep_all();
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
            returned: BTreeSet::new(),
            trouble: Trouble::default(),
        }
    }

    /// The same on another disk, in which nothing fails.
    #[must_use]
    pub fn copied(&self) -> Self {
        Self {
            trouble: Trouble::default(),
            ..self.clone()
        }
    }

    /// A call is going to fail.
    pub const fn fail(&mut self, failure: Failure) {
        self.trouble.failure = Some(failure);
    }

    /// There is no room for anything more, or there is again.
    pub const fn set_full(&mut self, is_full: bool) {
        self.trouble.is_full = is_full;
    }

    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.trouble.is_full
    }

    /// Nothing fails any more.
    pub fn mend(&mut self) {
        self.trouble = Trouble::default();
    }

    /// From now on this durable record does not read.
    pub fn damage(&mut self, stored: &Stored) {
        self.rebase();
        for tables in [&mut self.base, &mut self.now] {
            tables.damage(stored.clone());
        }
    }

    /// A bit of a durable record of this kind flips; none if there is no such record.
    pub fn flip(&mut self, kind: Kind, random: &mut Random) -> Option<Stored> {
        self.rebase();
        let hit = self.base.any(kind, random)?;
        self.damage(&hit);
        Some(hit)
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

    /// # Errors
    /// If the disk fails: the node ends then.
    pub fn write(&mut self, write: Write) -> Result<(), DiskError> {
        let fate = self.trouble.fate(match write {
            Write::Chain(_) => Call::Chain,
            Write::Records(_) => Call::Write,
        });
        if fate.is_done {
            self.now.check_write(&write)?;
            self.put(write);
        }
        fate.result
    }

    fn put(&mut self, write: Write) {
        let write = match write {
            Write::Chain(batch) => {
                let requeue = batch.requeue.iter();
                self.returned.extend(requeue.map(|it| it.id()));
                Write::Chain(batch)
            }
            Write::Records(records) => {
                Write::Records(records.iter().map(|it| self.settled(it)).collect())
            }
        };
        self.now.apply(&write);
        self.unsynced.push(write);
    }

    /// A record as it is written: nothing leaves the mempool that was taken back meanwhile.
    fn settled(&mut self, record: &Record) -> Record {
        match record {
            Record::MempoolExecuted(ids) => {
                let ids = ids.iter().filter(|id| !self.returned.contains(*id));
                return Record::MempoolRemove(ids.copied().collect());
            }
            Record::MempoolInsert(transaction) => {
                self.returned.remove(&transaction.id());
            }
            Record::MempoolRemove(ids) => ids.iter().for_each(|id| {
                self.returned.remove(id);
            }),
            _ => {}
        }
        record.clone()
    }

    /// # Errors
    /// If the disk fails: the node ends then.
    pub fn sync(&mut self) -> Result<(), DiskError> {
        let fate = self.trouble.fate(Call::Sync);
        if fate.is_done {
            self.keep_all();
        }
        fate.result
    }

    fn keep_all(&mut self) {
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

    /// Raises the guard through the records, durably.
    ///
    /// # Errors
    /// If the disk fails: the node ends then.
    ///
    /// # Panics
    /// If that lowers it, or if there is none: the product's guard refuses both.
    pub fn raise_guard(&mut self, records: &[&SignGuardRecord]) -> Result<(), DiskError> {
        let fate = self.trouble.fate(Call::Guard);
        if fate.is_done {
            for record in records {
                self.raise_guard_to(record);
            }
        }
        fate.result
    }

    fn raise_guard_to(&mut self, record: &SignGuardRecord) {
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
        self.returned.clear();
        let kept = match loss {
            Loss::Everything => 0,
            Loss::Suffix => random.position(self.unsynced.len() + 1),
            Loss::Torn => random.position(self.unsynced.len().max(1)),
            Loss::Nothing => self.unsynced.len(),
        };
        if kept < self.unsynced.len() {
            self.unsynced.truncate(kept);
            self.synced.append(&mut self.unsynced);
            self.rebuild();
        } else {
            self.keep_all();
        }
    }
}
