//! What the chain side of the store keeps in memory, behind one lock: readers see complete batches only.

use crate::column_family::ColumnFamily;
use crate::database::Database;
use crate::error::StorageError;
use crate::keys;
use crate::rows::{AppliedRow, JournalRow, Position};
use crate::state::Overlay;
use holdfast_ledger::{StateChanges, tree};
use holdfast_types::{BlockId, Height};
use rocksdb::Direction;

/// Position and state after the last complete batch.
#[derive(Debug)]
pub(crate) struct ChainState {
    pub position: Position,
    pub overlay: Overlay,
    /// Why this state must not be read: a batch failed after it had changed it.
    pub failure: Option<StorageError>,
}

impl ChainState {
    /// The state as the database holds it: the column families and, above them, the journal.
    pub(crate) fn load(
        database: &Database,
        position: Position,
        cache_bytes: usize,
    ) -> Result<Self, StorageError> {
        let mut overlay = Overlay::new(cache_bytes);
        if let (Some((head, _)), Some(flushed)) = (position.head, position.state_flushed) {
            let mut height = flushed;
            while height < head {
                height = height.next();
                let row: JournalRow = database
                    .row(ColumnFamily::StateJournal, &keys::height_key(height))?
                    .ok_or_else(|| {
                        StorageError::damaged(
                            "loading the state",
                            format!(
                                "the state is stored up to block {flushed} and the head is block {head}, but the \
                                 journal of block {height} is missing"
                            ),
                        )
                    })?;
                let update = tree::update(&overlay.state(database), &row.values)
                    .map_err(|error| StorageError::damaged("loading the state", error.reason))?;
                overlay.apply(StateChanges {
                    values: row.values,
                    tree_nodes: update.nodes,
                });
            }
        }
        Ok(Self {
            position,
            overlay,
            failure: None,
        })
    }

    pub(crate) fn check_readable(&self) -> Result<(), StorageError> {
        self.failure
            .as_ref()
            .map_or(Ok(()), |failure| Err(failure.clone()))
    }
}

/// The applied block at `height`.
pub(crate) fn applied_row(
    database: &Database,
    height: Height,
) -> Result<Option<AppliedRow>, StorageError> {
    database.row(ColumnFamily::Applied, &keys::height_key(height))
}

/// Height up to which the applied branch is certified, looking from `below` down.
pub(crate) fn highest_certified(
    database: &Database,
    below: Height,
    is_applied: impl Fn(Height, &BlockId) -> Result<bool, StorageError>,
) -> Result<Height, StorageError> {
    let from = keys::block_key(below, &BlockId::new([0; 32]));
    for entry in database.scan(ColumnFamily::Certificates, &from, Direction::Reverse) {
        let (key, _) = entry?;
        let (height, id) = parse_certificate_key(&key)?;
        if height < below && is_applied(height, &id)? {
            return Ok(height);
        }
    }
    Ok(Height::ZERO)
}

pub(crate) fn parse_certificate_key(key: &[u8]) -> Result<(Height, BlockId), StorageError> {
    keys::parse_block_key(key)
        .ok_or_else(|| StorageError::damaged("scanning", "a certificate has a malformed key"))
}
