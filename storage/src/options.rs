//! How a store is opened.

/// What to do about a data directory that is missing or there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateMode {
    /// Create the database; refuse if there is one.
    New,
    /// Open the database; refuse if there is none.
    Existing,
    /// Open the database, or create it.
    IfMissing,
}

/// What to do about a write-ahead log that is damaged before its tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalDamage {
    /// Refuse to open, with the file and the next step. A torn tail is no damage: nothing of it was acknowledged.
    Refuse,
    /// Drop everything from the damage on. An explicit act of the operator: what is lost comes back from peers, and
    /// the sign guard keeps the key from signing anything twice.
    Truncate,
}

/// Options of a store.
#[derive(Clone, Copy, Debug)]
pub struct StorageOptions {
    pub create: CreateMode,
    /// Memory for cached blocks of the database, hot state values and tree nodes together, in bytes.
    pub cache_bytes: usize,
    /// How many irreversible blocks to keep; none: all.
    pub prune_blocks: Option<u64>,
    pub wal_damage: WalDamage,
}

impl Default for StorageOptions {
    fn default() -> Self {
        Self {
            create: CreateMode::Existing,
            cache_bytes: 96 * 1024 * 1024,
            prune_blocks: None,
            wal_damage: WalDamage::Refuse,
        }
    }
}
