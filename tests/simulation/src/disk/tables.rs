//! The tables of a disk: the contract of the node's store, in memory.

use super::damage::Damage;
use super::{DiskError, Kind, Stored, Write};
use crate::random::Random;
use holdfast_chain::{AppliedBlock, ChainBatch, ChainStore};
use holdfast_halt::{HaltState, JournalEntry};
use holdfast_ledger::{StateChanges, StateError, StateStore, UndoRecord};
use holdfast_replica::{Record, RecordStore};
use holdfast_types::{
    AuthorityIndex, Block, BlockId, Certificate, CommitDigest, EndVotes, Era, EraContext, Evidence,
    Hash32, Height, Receipt, Round, SignedVertexHeader, TransactionId, VerifiedTransaction,
    VerifiedVertex, VertexDigest, VertexRef,
};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

#[derive(Clone, Debug)]
struct Row {
    id: BlockId,
    block: Arc<Block>,
    ids: Arc<[TransactionId]>,
    receipts: Arc<[Receipt]>,
    /// None: pruned.
    undo: Option<Arc<UndoRecord>>,
}

/// All that a node stores, the sign guard apart.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// The applied branch, from genesis on.
    rows: Vec<Row>,
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    tree_nodes: BTreeMap<Vec<u8>, Vec<u8>>,
    forks: BTreeMap<(Height, BlockId), Arc<Block>>,
    irreversible: Height,
    certificates: BTreeMap<(Height, BlockId), Certificate>,
    end_votes: Option<EndVotes>,
    certified: Height,
    eras: BTreeMap<Era, EraContext>,
    places: BTreeMap<TransactionId, (Height, u32)>,
    vertices: BTreeMap<(Era, VertexRef), Arc<VerifiedVertex>>,
    /// Kept when the vertices are pruned.
    own_last: BTreeMap<Era, (VertexRef, SignedVertexHeader)>,
    mempool: BTreeMap<u64, Arc<VerifiedTransaction>>,
    halts: HaltState,
    journal: BTreeMap<u64, JournalEntry>,
    evidence: BTreeMap<Hash32, Evidence>,
    sequences: BTreeMap<TransactionId, u64>,
    sequence_next: u64,
    damage: Damage,
}

impl Tables {
    /// Whether what has to be read for a write reads: taking a block back moves it.
    pub(super) fn check_write(&self, write: &Write) -> Result<(), DiskError> {
        let Write::Chain(batch) = write else {
            return Ok(());
        };
        let mut popped = batch.pop.iter();
        popped
            .try_for_each(|(height, _)| self.damage.check(|| Stored::Block(*height)))
            .map_err(|_| DiskError::Unreadable)
    }

    pub(super) fn damage(&mut self, stored: Stored) {
        self.damage.hit(stored);
    }

    /// True if something does not read.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        !self.damage.is_none()
    }

    /// Any record of a kind.
    pub(super) fn any(&self, kind: Kind, random: &mut Random) -> Option<Stored> {
        let mut position = |length: usize| (length > 0).then(|| random.position(length));
        Some(match kind {
            Kind::Block => Stored::Block(Height(position(self.rows.len())? as u64)),
            Kind::Vertex => {
                let position = position(self.vertices.len())?;
                let (era, reference) = *self.vertices.keys().nth(position)?;
                Stored::Vertex(era, reference)
            }
            Kind::Value => {
                let position = position(self.values.len())?;
                Stored::Value(self.values.keys().nth(position)?.clone())
            }
            Kind::Certificate => {
                let position = position(self.certificates.len())?;
                let (height, id) = *self.certificates.keys().nth(position)?;
                Stored::Certificate(height, id)
            }
        })
    }

    pub(super) fn apply(&mut self, write: &Write) {
        match write {
            Write::Chain(batch) => self.apply_batch(batch),
            Write::Records(records) => {
                for record in records.iter() {
                    self.apply_record(record);
                }
            }
        }
    }

    fn apply_batch(&mut self, batch: &ChainBatch) {
        for _ in &batch.pop {
            self.pop();
        }
        for applied in &batch.apply {
            self.push(applied);
        }
        for (id, block) in &batch.insert_forks {
            let key = (block.header.height, *id);
            self.forks.insert(key, Arc::new(block.clone()));
        }
        if let Some(height) = batch.prune_undo_below {
            self.prune_undo(height);
        }
        for key in &batch.remove_forks {
            self.forks.remove(key);
        }
        if let Some(height) = batch.irreversible {
            self.irreversible = self.irreversible.max(height);
        }
        for certificate in &batch.certificates {
            let body = certificate.body;
            self.damage
                .forget(|| Stored::Certificate(body.height, body.block));
            self.certificates
                .insert((body.height, body.block), certificate.clone());
        }
        self.certified = self.highest_certified();
        if batch.end_votes.is_some() {
            self.end_votes.clone_from(&batch.end_votes);
        }
        for era in &batch.start_eras {
            self.eras.insert(era.era, era.clone());
        }
        for transaction in &batch.requeue {
            self.enqueue(transaction);
        }
    }

    fn enqueue(&mut self, transaction: &Arc<VerifiedTransaction>) {
        let next = self.sequence_next;
        let sequence = *self.sequences.entry(transaction.id()).or_insert(next);
        self.sequence_next += u64::from(sequence == next);
        self.mempool.insert(sequence, Arc::clone(transaction));
    }

    fn push(&mut self, applied: &AppliedBlock) {
        let height = applied.block.header.height;
        assert_eq!(
            height.0,
            self.rows.len() as u64,
            "a block continues the head"
        );
        // Among the rows it counts as one of the fork database already.
        self.forks.remove(&(height, applied.id));
        self.damage.forget(|| Stored::Block(height));
        self.change(&applied.changes);
        for (index, id) in applied.decided() {
            self.places.entry(*id).or_insert((height, index));
        }
        self.rows.push(Row {
            id: applied.id,
            block: Arc::new(applied.block.clone()),
            ids: applied.transaction_ids.clone().into(),
            receipts: applied.receipts.clone().into(),
            undo: Some(Arc::new(applied.undo.clone())),
        });
    }

    fn pop(&mut self) {
        let row = self.rows.pop().expect("a popped block is the head");
        let height = row.block.header.height;
        self.damage.forget(|| Stored::Block(height));
        let undo = row.undo.expect("a block that is popped can be undone");
        let undo = UndoRecord::clone(&undo);
        let changes = undo.changes(self).expect("memory reads");
        self.change(&changes);
        for id in row.ids.iter() {
            if self.places.get(id).is_some_and(|(at, _)| *at == height) {
                self.places.remove(id);
            }
        }
        self.irreversible = self.irreversible.min(height.previous());
        self.forks.insert((height, row.id), row.block);
    }

    fn prune_undo(&mut self, below: Height) {
        // What is below the pruned ones was pruned before.
        let below = usize::try_from(below.0).expect("a simulation is short");
        // The head can always be undone.
        let below = below.min(self.rows.len().saturating_sub(1));
        let rows = self.rows.iter_mut().take(below).rev();
        for row in rows.take_while(|row| row.undo.is_some()) {
            row.undo = None;
        }
    }

    fn change(&mut self, changes: &StateChanges) {
        for (key, _) in &changes.values {
            self.damage.forget(|| Stored::Value(key.clone()));
        }
        write(&mut self.values, &changes.values);
        write(&mut self.tree_nodes, &changes.tree_nodes);
    }

    fn highest_certified(&self) -> Height {
        let mut certificates = self.certificates.keys().rev();
        certificates
            .find(|(height, id)| self.row(*height).is_some_and(|row| row.id == *id))
            .map(|(height, _)| *height)
            .unwrap_or_default()
    }

    fn apply_record(&mut self, record: &Record) {
        match record {
            Record::SignGuard(_) => unreachable!("the guard is a file of its own"),
            Record::OwnVertex(vertex) => {
                let (era, reference) = (vertex.header().era, vertex.reference());
                let last = self.own_last.get(&era);
                if last.is_none_or(|(last, _)| *last < reference) {
                    let header = vertex.vertex().signed.clone();
                    self.own_last.insert(era, (reference, header));
                }
                self.put_vertex(vertex);
            }
            Record::PeerVertex(vertex) => self.put_vertex(vertex),
            Record::PruneVertices { era, up_to } => {
                let end = (*era, first_of(up_to.next()));
                let pruned = self.vertices.range((*era, first_of(Round::ZERO))..end);
                for key in pruned.map(|(key, _)| *key).collect::<Vec<_>>() {
                    self.vertices.remove(&key);
                    self.damage.forget(|| Stored::Vertex(key.0, key.1));
                }
            }
            Record::MempoolInsert(transaction) => self.enqueue(transaction),
            Record::MempoolExecuted(ids) | Record::MempoolRemove(ids) => {
                for id in ids {
                    if let Some(sequence) = self.sequences.remove(id) {
                        self.mempool.remove(&sequence);
                    }
                }
            }
            Record::Halts(state) => self.halts = HaltState::clone(state),
            Record::Journal(entry) => {
                self.journal.insert(entry.index, *entry);
            }
            Record::Evidence(evidence) => {
                self.evidence
                    .insert(evidence.slot_key(), Evidence::clone(evidence));
            }
            Record::EvidenceRemove(slots) => {
                for slot in slots {
                    self.evidence.remove(slot);
                }
            }
        }
    }

    fn put_vertex(&mut self, vertex: &Arc<VerifiedVertex>) {
        let key = (vertex.header().era, vertex.reference());
        self.damage.forget(|| Stored::Vertex(key.0, key.1));
        self.vertices.insert(key, Arc::clone(vertex));
    }

    fn row(&self, height: Height) -> Option<&Row> {
        self.rows.get(usize::try_from(height.0).ok()?)
    }

    /// Consecutive blocks of the applied branch.
    ///
    /// # Errors
    /// If one of them does not read.
    pub fn blocks_from(&self, from: Height, count: usize) -> Result<Vec<Block>, StateError> {
        let first = usize::try_from(from.0).unwrap_or(usize::MAX);
        let rows = self.rows.iter().skip(first).take(count);
        rows.map(|row| self.read_row(row).map(|(_, block)| block))
            .collect()
    }

    fn read_row(&self, row: &Row) -> Result<(BlockId, Block), StateError> {
        self.damage
            .check(|| Stored::Block(row.block.header.height))?;
        Ok((row.id, Block::clone(&row.block)))
    }

    fn read_vertex(&self, era: Era, vertex: &VerifiedVertex) -> Result<VerifiedVertex, StateError> {
        self.damage
            .check(|| Stored::Vertex(era, vertex.reference()))?;
        Ok(vertex.clone())
    }

    fn read_certificate(&self, certificate: &Certificate) -> Result<Certificate, StateError> {
        let body = &certificate.body;
        self.damage
            .check(|| Stored::Certificate(body.height, body.block))?;
        Ok(certificate.clone())
    }

    /// True if the mempool holds the transaction.
    #[must_use]
    pub fn queues(&self, id: &TransactionId) -> bool {
        self.sequences.contains_key(id)
    }

    /// True if the vertex is stored.
    #[must_use]
    pub fn holds(&self, era: Era, reference: VertexRef) -> bool {
        self.vertices.contains_key(&(era, reference))
    }

    /// Keys and values of the state.
    pub fn state(&self) -> impl Iterator<Item = (&Vec<u8>, &Vec<u8>)> {
        self.values.iter()
    }
}

/// The lowest reference of a round.
fn first_of(round: Round) -> VertexRef {
    VertexRef {
        round,
        author: AuthorityIndex::ZERO,
        digest: VertexDigest::default(),
    }
}

impl StateStore for Tables {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.damage.check(|| Stored::Value(key.to_vec()))?;
        Ok(self.values.get(key).cloned())
    }

    fn tree_node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.tree_nodes.get(key).cloned())
    }
}

impl ChainStore for Tables {
    fn head(&self) -> Result<Option<(Height, BlockId)>, StateError> {
        let last = self.rows.last();
        Ok(last.map(|row| (row.block.header.height, row.id)))
    }

    fn irreversible_height(&self) -> Result<Height, StateError> {
        Ok(self.irreversible)
    }

    fn certified_height(&self) -> Result<Height, StateError> {
        Ok(self.certified)
    }

    fn block_at(&self, height: Height) -> Result<Option<Block>, StateError> {
        let read = self.row(height).map(|row| self.read_row(row));
        Ok(read.transpose()?.map(|(_, block)| block))
    }

    fn block_id_at(&self, height: Height) -> Result<Option<BlockId>, StateError> {
        Ok(self.row(height).map(|row| row.id))
    }

    fn block(&self, id: &BlockId) -> Result<Option<Block>, StateError> {
        if let Some(applied) = self.rows.iter().rev().find(|row| row.id == *id) {
            return self.read_row(applied).map(|(_, block)| Some(block));
        }
        let mut forks = self.forks.iter();
        let fork = forks.find(|((_, fork), _)| fork == id);
        Ok(fork.map(|(_, block)| Block::clone(block)))
    }

    fn fork_blocks(&self) -> Result<Vec<(BlockId, Block)>, StateError> {
        let reversible = self
            .rows
            .iter()
            .filter(|row| row.block.header.height > self.irreversible)
            .map(|row| self.read_row(row));
        let others = self.forks.iter();
        let others = others.map(|((_, id), block)| Ok((*id, Block::clone(block))));
        reversible.chain(others).collect()
    }

    fn undo(&self, height: Height) -> Result<Option<UndoRecord>, StateError> {
        let undo = self.row(height).and_then(|row| row.undo.as_ref());
        Ok(undo.map(|undo| UndoRecord::clone(undo)))
    }

    fn certificate(&self, height: Height) -> Result<Option<Certificate>, StateError> {
        let row = self.row(height);
        let found = row.and_then(|row| self.certificates.get(&(height, row.id)));
        found
            .map(|certificate| self.read_certificate(certificate))
            .transpose()
    }

    fn certificate_at_or_above(&self, height: Height) -> Result<Option<Certificate>, StateError> {
        let from = (height, BlockId::default());
        let mut certificates = self.certificates.range(from..);
        certificates
            .find(|((height, id), _)| self.row(*height).is_none_or(|row| row.id == *id))
            .map(|(_, certificate)| self.read_certificate(certificate))
            .transpose()
    }

    fn certificates_above(&self, height: Height) -> Result<Vec<Certificate>, StateError> {
        let from = (height.next(), BlockId::default());
        let above = self.certificates.range(from..);
        above
            .map(|(_, certificate)| self.read_certificate(certificate))
            .collect()
    }

    fn end_votes(&self) -> Result<Option<EndVotes>, StateError> {
        Ok(self.end_votes.clone())
    }

    fn era(&self, era: Era) -> Result<Option<EraContext>, StateError> {
        Ok(self.eras.get(&era).cloned())
    }

    fn latest_era(&self) -> Result<Option<EraContext>, StateError> {
        let anchored = |era: &&EraContext| {
            self.row(era.anchor_height)
                .is_some_and(|row| row.id == era.anchor)
        };
        Ok(self.eras.values().rev().find(anchored).cloned())
    }

    fn commit_digest_at(&self, height: Height) -> Result<Option<CommitDigest>, StateError> {
        Ok(self
            .row(height)
            .and_then(|row| row.block.header.origin.commit()))
    }

    fn transaction_place(&self, id: &TransactionId) -> Result<Option<(Height, u32)>, StateError> {
        Ok(self.places.get(id).copied())
    }

    fn receipts_at(&self, height: Height) -> Result<Option<Vec<Receipt>>, StateError> {
        Ok(self.row(height).map(|row| row.receipts.to_vec()))
    }
}

impl RecordStore for Tables {
    fn vertices_above(&self, era: Era, round: Round) -> Result<Vec<VerifiedVertex>, StateError> {
        let from = (era, first_of(round.next()));
        let above = self.vertices.range(from..);
        above
            .take_while(|((of, _), _)| *of == era)
            .map(|(_, vertex)| self.read_vertex(era, vertex))
            .collect()
    }

    fn vertex_references(
        &self,
        era: Era,
        rounds: Range<Round>,
    ) -> Result<Vec<VertexRef>, StateError> {
        let from = (era, first_of(rounds.start));
        let end = (era, first_of(rounds.end));
        let range = self.vertices.range(from..end);
        Ok(range.map(|((_, reference), _)| *reference).collect())
    }

    fn vertex(
        &self,
        era: Era,
        reference: &VertexRef,
    ) -> Result<Option<VerifiedVertex>, StateError> {
        let stored = self.vertices.get(&(era, *reference));
        stored
            .map(|vertex| self.read_vertex(era, vertex))
            .transpose()
    }

    fn last_own_vertex(&self, era: Era) -> Result<Option<VerifiedVertex>, StateError> {
        let last = self.own_last.get(&era);
        let stored = last.and_then(|(last, _)| self.vertices.get(&(era, *last)));
        stored
            .map(|vertex| self.read_vertex(era, vertex))
            .transpose()
    }

    fn last_own_header(&self, era: Era) -> Result<Option<SignedVertexHeader>, StateError> {
        Ok(self.own_last.get(&era).map(|(_, header)| header.clone()))
    }

    fn mempool(&self) -> Result<Vec<VerifiedTransaction>, StateError> {
        let queued = self.mempool.values();
        Ok(queued
            .map(|transaction| VerifiedTransaction::clone(transaction))
            .collect())
    }

    fn halt_state(&self) -> Result<HaltState, StateError> {
        Ok(self.halts.clone())
    }

    fn halt_journal(&self, first: u64, limit: usize) -> Result<Vec<JournalEntry>, StateError> {
        let entries = self.journal.range(first..).take(limit);
        Ok(entries.map(|(_, entry)| *entry).collect())
    }

    fn evidence(&self) -> Result<Vec<Evidence>, StateError> {
        Ok(self.evidence.values().cloned().collect())
    }
}

fn write(map: &mut BTreeMap<Vec<u8>, Vec<u8>>, changes: &[(Vec<u8>, Option<Vec<u8>>)]) {
    for (key, value) in changes {
        match value {
            Some(value) => map.insert(key.clone(), value.clone()),
            None => map.remove(key),
        };
    }
}
