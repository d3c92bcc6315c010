//! Tree nodes that reversible blocks made stale.
//!
//! They left the tree, but a branch that starts below these blocks is executed on them before the switch is written.
//! Their contents lie in the undo rows; a node that is not live is looked for there, from the head down to the last
//! irreversible block. It happens in branch switches only, so rows are read when a node of them is asked for.

use crate::column_family::ColumnFamily;
use crate::database::Database;
use crate::error::StorageError;
use crate::keys;
use crate::rows::{Position, UndoRow};
use holdfast_types::Height;
use std::collections::HashMap;

/// Contents kept in memory at most; rows beyond are read again for every lookup.
const KEPT_BYTES_MAX: usize = 64 << 20;

/// Contents of the undo rows read so far. Valid for one head.
#[derive(Debug, Default)]
pub(crate) struct StaleNodes {
    contents: HashMap<Vec<u8>, Vec<u8>>,
    kept_bytes: usize,
    /// Rows from here to the head are in `contents`; none: no row was read yet.
    kept_from: Option<Height>,
}

impl StaleNodes {
    pub(crate) fn find(
        &mut self,
        database: &Database,
        position: &Position,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, StorageError> {
        if let Some(content) = self.contents.get(key) {
            return Ok(Some(content.clone()));
        }
        let Some((head, _)) = position.head else {
            return Ok(None);
        };
        let mut height = self.kept_from.map_or(head, Height::previous);
        while height > position.irreversible {
            let row: Option<UndoRow> =
                database.row(ColumnFamily::Undo, &keys::height_key(height))?;
            let Some(row) = row else { break };
            let found = self.keep(height, row, key);
            if found.is_some() {
                return Ok(found);
            }
            height = height.previous();
        }
        Ok(None)
    }

    /// Keeps the contents of the row if there is room; gives back that of `key`.
    fn keep(&mut self, height: Height, row: UndoRow, key: &[u8]) -> Option<Vec<u8>> {
        let room = self.kept_bytes < KEPT_BYTES_MAX;
        let mut found = None;
        for (stale, content) in row
            .record
            .stale_tree_nodes
            .into_iter()
            .zip(row.stale_contents)
        {
            let Some(content) = content else { continue };
            if stale == key {
                found = Some(content.clone());
            }
            if room {
                self.kept_bytes += stale.len() + content.len();
                self.contents.insert(stale, content);
            }
        }
        if room {
            self.kept_from = Some(height);
        }
        found
    }

    /// Forgets everything: the head has changed.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
