//! What consensus wants durable: vertices and the mempool.

use crate::column_family::ColumnFamily;
use crate::database::{Batch, Durability, decode};
use crate::error::StorageError;
use crate::halts;
use crate::keys;
use crate::rows::OwnVertexRow;
use crate::storage::Storage;
use holdfast_halt::{HaltState, JournalEntry};
use holdfast_ledger::StateError;
use holdfast_replica::{Record, RecordStore};
use holdfast_types::{
    Era, Evidence, Round, SignedTransaction, SignedVertexHeader, TransactionId,
    VerifiedTransaction, VerifiedVertex, Vertex, VertexRef, codec,
};
use rocksdb::Direction;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, MutexGuard, PoisonError};

/// Vertices are pruned in strides of so many rounds: each stride is one range deletion, and reads of the family pay
/// for every range that was not compacted yet.
const PRUNE_STRIDE_ROUNDS: u64 = 32;

/// Where each transaction of the mempool is stored.
#[derive(Debug, Default)]
pub(crate) struct MempoolIndex {
    sequences: HashMap<TransactionId, u64>,
    next: u64,
    /// Taken back by the chain, and the replica has not said yet what becomes of them.
    returned: HashSet<TransactionId>,
}

impl MempoolIndex {
    /// The place in the queue that a transaction has, or gets.
    fn sequence(&mut self, transaction: &VerifiedTransaction) -> u64 {
        let next = self.next;
        let sequence = *self.sequences.entry(transaction.id()).or_insert(next);
        if sequence == next {
            self.next += 1;
        }
        sequence
    }

    fn remove(&mut self, batch: &mut Batch<'_>, id: &TransactionId) {
        if let Some(sequence) = self.sequences.remove(id) {
            batch.delete(ColumnFamily::Mempool, &keys::sequence_key(sequence));
        }
    }
}

/// Own vertices that are written and that the sign guard does not cover yet: nobody else may see them.
#[derive(Debug, Default)]
pub(crate) struct WithheldVertices(Vec<VertexRef>);

/// Up to which round the vertices of the era pruned last are gone.
#[derive(Debug, Default)]
pub(crate) struct PrunedVertices(Option<(Era, Round)>);

/// A transaction with its place in the queue.
pub(crate) type QueueRow = (u64, Arc<VerifiedTransaction>);

pub(crate) fn put_queued(batch: &mut Batch<'_>, sequence: u64, transaction: &VerifiedTransaction) {
    batch.put_row(
        ColumnFamily::Mempool,
        &keys::sequence_key(sequence),
        transaction.transaction(),
    );
}

impl Storage {
    /// Writes records in one batch, synced if one of them must be: own vertices, mempool inserts. What was written
    /// before, unsynced, is then synced too. Guard records belong to [`crate::RecordWriter`], which calls this; here
    /// they are an error.
    pub fn commit_records(&self, records: &[Record]) -> Result<(), StorageError> {
        let durability = if records.iter().any(Record::is_synced) {
            Durability::Synced
        } else {
            Durability::Logged
        };
        self.write_batch(records, durability)
    }

    /// Hides the own vertices among `records` from readers of single vertices.
    pub(crate) fn withhold_own(&self, records: &[Record]) {
        self.withheld_vertices().0 = records
            .iter()
            .filter_map(|record| match record {
                Record::OwnVertex(vertex) => Some(vertex.reference()),
                _ => None,
            })
            .collect();
    }

    /// Lets all vertices be seen.
    pub(crate) fn withhold_nothing(&self) {
        self.withheld_vertices().0.clear();
    }

    fn withheld_vertices(&self) -> MutexGuard<'_, WithheldVertices> {
        self.withheld.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes records in one batch that the next sync covers.
    pub(crate) fn write_records(&self, records: &[Record]) -> Result<(), StorageError> {
        self.write_batch(records, Durability::Logged)
    }

    fn write_batch(&self, records: &[Record], durability: Durability) -> Result<(), StorageError> {
        let mut batch = self.database.batch();
        for record in records {
            match record {
                Record::SignGuard(_) => {
                    return Err(self.database.fail(StorageError::Guard {
                        reason: String::from("a guard record came without its file"),
                    }));
                }
                Record::OwnVertex(vertex) => {
                    put_vertex(&mut batch, vertex);
                    self.put_own_vertex(&mut batch, vertex)?;
                }
                Record::PeerVertex(vertex) => put_vertex(&mut batch, vertex),
                Record::PruneVertices { era, up_to } => {
                    self.prune_vertices(&mut batch, *era, *up_to);
                }
                Record::MempoolInsert(transaction) => {
                    self.mempool_insert(&mut batch, transaction);
                }
                Record::MempoolExecuted(ids) => self.mempool_executed(&mut batch, ids),
                Record::MempoolRemove(ids) => self.mempool_remove(&mut batch, ids),
                Record::Halts(state) => halts::put_halt_state(&mut batch, state),
                Record::Journal(entry) => halts::put_journal_entry(&mut batch, entry),
                Record::Evidence(evidence) => halts::put_evidence(&mut batch, evidence),
                Record::EvidenceRemove(slots) => halts::remove_evidence(&mut batch, slots),
            }
        }
        if batch.is_empty() {
            return self.database.check_alive();
        }
        self.database.write(batch, durability)
    }

    /// The last own vertex of an era only rises.
    fn put_own_vertex(
        &self,
        batch: &mut Batch<'_>,
        vertex: &VerifiedVertex,
    ) -> Result<(), StorageError> {
        let era = vertex.header().era;
        if let Some(last) = self.own_vertex_row(era)?
            && last.reference.round > vertex.round()
        {
            return Ok(());
        }
        let row = OwnVertexRow {
            reference: vertex.reference(),
            header: vertex.vertex().signed.clone(),
        };
        batch.put_row(ColumnFamily::OwnVertices, &keys::era_key(era), &row);
        Ok(())
    }

    fn prune_vertices(&self, batch: &mut Batch<'_>, era: Era, up_to: Round) {
        let mut pruned = self
            .pruned_vertices
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let from = match pruned.0 {
            Some((pruned_era, round)) if pruned_era == era => round,
            _ => Round::ZERO,
        };
        if up_to.since(from) < PRUNE_STRIDE_ROUNDS {
            return;
        }
        batch.delete_range(
            ColumnFamily::Vertices,
            &keys::vertices_above_key(era, from),
            &keys::vertices_above_key(era, up_to),
        );
        pruned.0 = Some((era, up_to));
    }

    fn mempool_insert(&self, batch: &mut Batch<'_>, transaction: &VerifiedTransaction) {
        let mut index = self.mempool_index();
        index.returned.remove(&transaction.id());
        put_queued(batch, index.sequence(transaction), transaction);
    }

    /// Rows of transactions that go back to the queue.
    pub(crate) fn queue_rows(&self, transactions: &[Arc<VerifiedTransaction>]) -> Vec<QueueRow> {
        let mut index = self.mempool_index();
        let transactions = transactions.iter();
        transactions
            .map(|transaction| {
                index.returned.insert(transaction.id());
                (index.sequence(transaction), Arc::clone(transaction))
            })
            .collect()
    }

    fn mempool_executed(&self, batch: &mut Batch<'_>, ids: &[TransactionId]) {
        let mut index = self.mempool_index();
        for id in ids {
            if !index.returned.contains(id) {
                index.remove(batch, id);
            }
        }
    }

    fn mempool_remove(&self, batch: &mut Batch<'_>, ids: &[TransactionId]) {
        let mut index = self.mempool_index();
        for id in ids {
            index.returned.remove(id);
            index.remove(batch, id);
        }
    }

    fn mempool_index(&self) -> MutexGuard<'_, MempoolIndex> {
        self.mempool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stored vertices of `era` above `round`, in the order (round, author, digest).
    pub fn vertices_above(
        &self,
        era: Era,
        round: Round,
    ) -> Result<Vec<VerifiedVertex>, StorageError> {
        let from = keys::vertices_above_key(era, round);
        let mut vertices = Vec::new();
        for entry in self
            .database
            .scan(ColumnFamily::Vertices, &from, Direction::Forward)
        {
            let (key, bytes) = entry?;
            if !key.starts_with(&keys::era_key(era)) {
                break;
            }
            vertices.push(self.decode_vertex(&key, &bytes)?);
        }
        Ok(vertices)
    }

    /// References of the stored vertices of these rounds, in their order.
    pub fn vertex_references(
        &self,
        era: Era,
        rounds: Range<Round>,
    ) -> Result<Vec<VertexRef>, StorageError> {
        let from = keys::vertices_from_key(era, rounds.start);
        let end = keys::vertices_from_key(era, rounds.end);
        let mut references = Vec::new();
        for entry in self
            .database
            .scan(ColumnFamily::Vertices, &from, Direction::Forward)
        {
            let (key, _) = entry?;
            if key.as_ref() >= end.as_slice() {
                break;
            }
            references.push(keys::parse_vertex_key(&key).ok_or_else(|| {
                StorageError::damaged("listing vertices", "the key of a vertex is malformed")
            })?);
        }
        Ok(references)
    }

    /// One stored vertex.
    pub fn vertex(
        &self,
        era: Era,
        reference: &VertexRef,
    ) -> Result<Option<VerifiedVertex>, StorageError> {
        if self.withheld_vertices().0.contains(reference) {
            return Ok(None);
        }
        let key = keys::vertex_key(era, reference);
        self.database
            .read(ColumnFamily::Vertices, &key)?
            .map(|bytes| self.decode_vertex(&key, &bytes))
            .transpose()
    }

    /// The last vertex that this validator signed in `era`; none if there is none, or if it was pruned.
    pub fn last_own_vertex(&self, era: Era) -> Result<Option<VerifiedVertex>, StorageError> {
        match self.own_vertex_row(era)? {
            Some(row) => self.vertex(era, &row.reference),
            None => Ok(None),
        }
    }

    /// Signed header of the last own vertex in `era`; it outlives the pruning of the vertex.
    pub fn last_own_header(&self, era: Era) -> Result<Option<SignedVertexHeader>, StorageError> {
        Ok(self.own_vertex_row(era)?.map(|row| row.header))
    }

    fn own_vertex_row(&self, era: Era) -> Result<Option<OwnVertexRow>, StorageError> {
        self.database
            .row(ColumnFamily::OwnVertices, &keys::era_key(era))
    }

    /// The key holds the digest, so a damaged vertex does not pass as the one that was verified.
    pub(crate) fn decode_vertex(
        &self,
        key: &[u8],
        bytes: &[u8],
    ) -> Result<VerifiedVertex, StorageError> {
        let vertex: Vertex = decode(ColumnFamily::Vertices, bytes)?;
        let era = vertex.signed.header.era;
        let vertex = VerifiedVertex::trust(vertex, &self.chain_id);
        if keys::vertex_key(era, &vertex.reference()) != key {
            return Err(StorageError::damaged(
                "reading a vertex",
                format!("vertex {} is stored under another key", vertex.reference()),
            ));
        }
        Ok(vertex)
    }

    /// A transaction of the mempool.
    pub fn mempool_transaction(
        &self,
        id: &TransactionId,
    ) -> Result<Option<VerifiedTransaction>, StorageError> {
        let Some(sequence) = self.mempool_index().sequences.get(id).copied() else {
            return Ok(None);
        };
        // It may have left between the two reads.
        let bytes = self
            .database
            .read(ColumnFamily::Mempool, &keys::sequence_key(sequence))?;
        let transaction = bytes
            .map(|bytes| decode::<SignedTransaction>(ColumnFamily::Mempool, &bytes))
            .transpose()?;
        Ok(transaction.map(|transaction| VerifiedTransaction::trust(*id, transaction)))
    }

    /// The mempool in the order of arrival.
    pub fn mempool(&self) -> Result<Vec<VerifiedTransaction>, StorageError> {
        let mut transactions = Vec::new();
        for entry in self.database.scan_all(ColumnFamily::Mempool) {
            let (_, bytes) = entry?;
            let transaction: SignedTransaction = decode(ColumnFamily::Mempool, &bytes)?;
            let id = transaction.body.id(&self.chain_id);
            transactions.push(VerifiedTransaction::trust(id, transaction));
        }
        Ok(transactions)
    }
}

impl RecordStore for Storage {
    fn vertices_above(&self, era: Era, round: Round) -> Result<Vec<VerifiedVertex>, StateError> {
        Ok(Self::vertices_above(self, era, round)?)
    }

    fn vertex_references(
        &self,
        era: Era,
        rounds: Range<Round>,
    ) -> Result<Vec<VertexRef>, StateError> {
        Ok(Self::vertex_references(self, era, rounds)?)
    }

    fn vertex(
        &self,
        era: Era,
        reference: &VertexRef,
    ) -> Result<Option<VerifiedVertex>, StateError> {
        Ok(Self::vertex(self, era, reference)?)
    }

    fn last_own_vertex(&self, era: Era) -> Result<Option<VerifiedVertex>, StateError> {
        Ok(Self::last_own_vertex(self, era)?)
    }

    fn last_own_header(&self, era: Era) -> Result<Option<SignedVertexHeader>, StateError> {
        Ok(Self::last_own_header(self, era)?)
    }

    fn mempool(&self) -> Result<Vec<VerifiedTransaction>, StateError> {
        Ok(Self::mempool(self)?)
    }

    fn halt_state(&self) -> Result<HaltState, StateError> {
        Ok(Self::halt_state(self)?)
    }

    fn halt_journal(&self, first: u64, limit: usize) -> Result<Vec<JournalEntry>, StateError> {
        Ok(Self::halt_journal(self, first, limit)?)
    }

    fn evidence(&self) -> Result<Vec<Evidence>, StateError> {
        Ok(Self::evidence(self)?)
    }
}

fn put_vertex(batch: &mut Batch<'_>, vertex: &VerifiedVertex) {
    batch.put(
        ColumnFamily::Vertices,
        &keys::vertex_key(vertex.header().era, &vertex.reference()),
        &codec::encode(vertex.vertex()),
    );
}

impl MempoolIndex {
    /// Reads the index from the stored transactions.
    pub(crate) fn load(
        database: &crate::database::Database,
        chain_id: &holdfast_types::ChainId,
    ) -> Result<Self, StorageError> {
        let mut index = Self::default();
        for entry in database.scan_all(ColumnFamily::Mempool) {
            let (key, bytes) = entry?;
            let sequence = keys::parse_number(&key).ok_or_else(|| {
                StorageError::damaged("loading the mempool", "a sequence number is malformed")
            })?;
            let transaction: SignedTransaction = decode(ColumnFamily::Mempool, &bytes)?;
            index
                .sequences
                .insert(transaction.body.id(chain_id), sequence);
            index.next = sequence + 1;
        }
        Ok(index)
    }
}
