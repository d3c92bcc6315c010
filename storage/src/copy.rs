//! Reading a store that must stay as it is.

use crate::error::OpenError;
use crate::open::{self, Identity};
use crate::options::{CreateMode, StorageOptions, WalDamage};
use crate::storage::Storage;
use std::fs;
use std::path::Path;

/// Memory for a store that is read once.
const CACHE_BYTES: usize = 48 << 20;

impl Storage {
    /// Opens a copy of the store in the directory `from`, which is not changed, not even locked. The copy is made in the
    /// empty directory `scratch`: opening replays the write-ahead log and writes what comes of it. Table files, nearly all
    /// of a store, are never rewritten, so symbolic links stand for them. Whatever chain the store is of is accepted.
    ///
    /// `from` must not be the store of a running node: its files come and go.
    pub fn open_copy(from: &Path, scratch: &Path) -> Result<Self, OpenError> {
        if !from.join("CURRENT").exists() {
            return Err(open::missing_or_damaged(from));
        }
        link_or_copy(from, scratch)?;
        let options = StorageOptions {
            create: CreateMode::Existing,
            cache_bytes: CACHE_BYTES,
            prune_blocks: None,
            wal_damage: WalDamage::Refuse,
        };
        Self::open_as(scratch, options, Identity::Any)
    }
}

fn link_or_copy(from: &Path, scratch: &Path) -> Result<(), OpenError> {
    let failed = |error: std::io::Error| OpenError::io(from, &error);
    // A link is followed from where it lies.
    let from = fs::canonicalize(from).map_err(failed)?;
    for entry in fs::read_dir(&from).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let Some(name) = path.file_name().filter(|_| path.is_file()) else {
            continue;
        };
        let target = scratch.join(name);
        let is_table = path.extension().is_some_and(|extension| extension == "sst");
        let done = if is_table {
            std::os::unix::fs::symlink(&path, &target)
        } else {
            fs::copy(&path, &target).map(drop)
        };
        done.map_err(failed)?;
    }
    Ok(())
}
