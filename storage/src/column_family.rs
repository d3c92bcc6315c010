//! The column families of the store and how each is tuned.
//!
//! | family | key | value |
//! |---|---|---|
//! | `meta` | name | format version, chain id, [`crate::rows::Position`], votes for the end of an emergency |
//! | `blocks` | height, id | block, of the log and of the fork database |
//! | `fork_blocks` | height, id | nothing: the block is one of the fork database, reversible or of another branch |
//! | `block_index` | id | height, for every stored block |
//! | `applied` | height | [`crate::rows::AppliedRow`]: the applied branch, from the lowest stored block to the head |
//! | `receipts` | height | [`crate::rows::ReceiptsRow`] |
//! | `transactions` | id | height and index of the first inclusion on the applied branch |
//! | `certificates` | height, block id | certificate |
//! | `eras` | era | era context |
//! | `state` | state key | value, as of the height `state_flushed` of the position |
//! | `state_tree` | path | page of the tree, as of the same height |
//! | `state_journal` | height | [`crate::rows::JournalRow`] of each applied block above that height |
//! | `undo` | height | [`holdfast_ledger::UndoRecord`]: what takes the block back |
//! | `vertices` | era, round, author, digest | vertex |
//! | `own_vertices` | era | [`crate::rows::OwnVertexRow`]: the last own vertex |
//! | `mempool` | sequence | signed transaction |
//! | `halts` | name | [`holdfast_halt::HaltState`] |
//! | `halt_journal` | index | [`holdfast_halt::JournalEntry`] |
//! | `evidence` | slot key | evidence that waits to be executed |
//!
//! Numbers in keys are big-endian, so that keys sort as their parts do; values are borsh.

use crate::keys;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, MergeOperands, Options,
};

/// One column family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ColumnFamily {
    Meta,
    Blocks,
    ForkBlocks,
    BlockIndex,
    Applied,
    Receipts,
    Transactions,
    Certificates,
    Eras,
    State,
    StateTree,
    StateJournal,
    Undo,
    Vertices,
    OwnVertices,
    Mempool,
    Halts,
    HaltJournal,
    Evidence,
}

/// How a family is used, which decides its tuning.
enum Use {
    /// Few small rows, or rows read in order.
    Small,
    /// Rows of many kilobytes under rising keys.
    Bulk,
    /// Small rows under scattered keys, looked up one by one.
    Lookup,
}

impl ColumnFamily {
    pub(crate) const ALL: [Self; 19] = [
        Self::Meta,
        Self::Blocks,
        Self::ForkBlocks,
        Self::BlockIndex,
        Self::Applied,
        Self::Receipts,
        Self::Transactions,
        Self::Certificates,
        Self::Eras,
        Self::State,
        Self::StateTree,
        Self::StateJournal,
        Self::Undo,
        Self::Vertices,
        Self::OwnVertices,
        Self::Mempool,
        Self::Halts,
        Self::HaltJournal,
        Self::Evidence,
    ];

    /// Stable name, on disk and in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Blocks => "blocks",
            Self::ForkBlocks => "fork_blocks",
            Self::BlockIndex => "block_index",
            Self::Applied => "applied",
            Self::Receipts => "receipts",
            Self::Transactions => "transactions",
            Self::Certificates => "certificates",
            Self::Eras => "eras",
            Self::State => "state",
            Self::StateTree => "state_tree",
            Self::StateJournal => "state_journal",
            Self::Undo => "undo",
            Self::Vertices => "vertices",
            Self::OwnVertices => "own_vertices",
            Self::Mempool => "mempool",
            Self::Halts => "halts",
            Self::HaltJournal => "halt_journal",
            Self::Evidence => "evidence",
        }
    }

    const fn usage(self) -> Use {
        match self {
            Self::Meta
            | Self::ForkBlocks
            | Self::Applied
            | Self::Certificates
            | Self::Eras
            | Self::OwnVertices
            | Self::Mempool
            | Self::Halts
            | Self::HaltJournal
            | Self::Evidence => Use::Small,
            Self::Blocks | Self::Receipts | Self::StateJournal | Self::Undo | Self::Vertices => {
                Use::Bulk
            }
            Self::BlockIndex | Self::Transactions | Self::State | Self::StateTree => Use::Lookup,
        }
    }

    pub(crate) fn descriptor(self, block_cache: &Cache) -> ColumnFamilyDescriptor {
        ColumnFamilyDescriptor::new(self.name(), self.options(block_cache))
    }

    fn options(self, block_cache: &Cache) -> Options {
        let mut options = base_options();
        let mut table = base_table(block_cache);
        match self.usage() {
            Use::Small => options.set_write_buffer_size(4 << 20),
            Use::Bulk => {
                options.set_write_buffer_size(16 << 20);
                table.set_block_size(32 << 10);
            }
            Use::Lookup => {
                options.set_write_buffer_size(16 << 20);
                table.set_bloom_filter(10.0, false);
            }
        }
        // Only what stays and is not mostly hashes is worth compressing.
        if matches!(self, Self::Blocks | Self::Receipts | Self::State) {
            options.set_compression_type(DBCompressionType::Lz4);
        }
        if matches!(self, Self::Certificates) {
            // Every applied block asks whether its certificate came before it, mostly in vain.
            table.set_bloom_filter(10.0, false);
        }
        if matches!(self, Self::Transactions) {
            options.set_merge_operator_associative("first_inclusion", first_inclusion);
        }
        options.set_block_based_table_factory(&table);
        options
    }
}

/// Options of a family that a newer version left behind: only the format check will read it.
pub(crate) fn unknown_family(name: &str) -> ColumnFamilyDescriptor {
    ColumnFamilyDescriptor::new(name, Options::default())
}

fn base_options() -> Options {
    let mut options = Options::default();
    options.set_compression_type(DBCompressionType::None);
    options.set_max_write_buffer_number(3);
    options.set_target_file_size_base(32 << 20);
    options.set_max_bytes_for_level_base(128 << 20);
    options.set_level_compaction_dynamic_level_bytes(true);
    options
}

fn base_table(block_cache: &Cache) -> BlockBasedOptions {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(block_cache);
    // Index and filter blocks count against the cache, so that memory stays bounded however large the store grows.
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_format_version(6);
    table
}

/// Keeps the lowest place. A later inclusion of a transaction never replaces the first, without a read per insert.
fn first_inclusion(
    _key: &[u8],
    existing: Option<&[u8]>,
    operands: &MergeOperands,
) -> Option<Vec<u8>> {
    existing
        .into_iter()
        .chain(operands)
        .filter(|place| place.len() == keys::PLACE_BYTES)
        .min()
        .map(<[u8]>::to_vec)
}
