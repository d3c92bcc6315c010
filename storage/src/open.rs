//! Opening: one process, no damage, the right format and chain, rows that fit together.

use crate::chain_state::{self, ChainState};
use crate::column_family::{ColumnFamily, unknown_family};
use crate::database::{Database, Durability};
use crate::error::{OpenError, StorageError};
use crate::keys;
use crate::lock::DirectoryLock;
use crate::options::{CreateMode, StorageOptions, WalDamage};
use crate::records::{MempoolIndex, PrunedVertices};
use crate::rows::{FORMAT_VERSION, Position};
use crate::storage::Storage;
use crate::wal;
use holdfast_types::{Block, ChainId, Height};
use rocksdb::{Cache, DB, DBRecoveryMode, LogLevel, Options};
use std::fs;
use std::path::Path;
use std::sync::{Mutex, RwLock};

/// Memory for all write buffers together.
const WRITE_BUFFERS_BYTES: usize = 64 << 20;
/// When the write-ahead log is larger, the oldest write buffers go to table files.
const WAL_BYTES_MAX: u64 = 192 << 20;
/// Open table files; the rest of the process needs descriptors too.
const OPEN_FILES_MAX: i32 = 384;
/// Blocks below the head that opening verifies one by one.
const BLOCKS_VERIFIED: u64 = 16;

/// Whose store is opened.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Identity {
    /// Of this chain.
    Expected(ChainId),
    /// Of whatever chain it names.
    Any,
}

impl Storage {
    /// Opens the store of `chain` in the directory `path`, exclusively.
    pub fn open(path: &Path, options: StorageOptions, chain: ChainId) -> Result<Self, OpenError> {
        Self::open_as(path, options, Identity::Expected(chain))
    }

    pub(crate) fn open_as(
        path: &Path,
        options: StorageOptions,
        identity: Identity,
    ) -> Result<Self, OpenError> {
        let exists = path.join("CURRENT").exists();
        match (options.create, exists) {
            (CreateMode::New, true) => {
                return Err(OpenError::Exists {
                    path: path.to_owned(),
                });
            }
            (CreateMode::Existing, false) => return Err(missing_or_damaged(path)),
            (CreateMode::IfMissing, false) if holds_tables(path) => {
                return Err(missing_or_damaged(path));
            }
            _ => {}
        }
        fs::create_dir_all(path).map_err(|error| OpenError::io(path, &error))?;
        let lock = DirectoryLock::take(path)?;
        if exists && options.wal_damage == WalDamage::Refuse {
            wal::check(path)?;
        }
        let block_cache = Cache::new_lru_cache(options.cache_bytes / 3);
        let database = open_database(path, exists, block_cache)?;
        let chain = check_identity(&database, path, exists, identity)?;
        load(database, path, &options, chain, lock)
            .map_err(|error| OpenError::of_storage(path, &error))
    }
}

/// A directory with table files but no `CURRENT` held a database; an empty one did not.
pub(crate) fn missing_or_damaged(path: &Path) -> OpenError {
    if holds_tables(path) {
        return OpenError::Corrupted {
            file: path.join("CURRENT"),
            reason: String::from("the file is missing, and table files are there"),
            next_step: crate::error::NEXT_STEP_RESYNC,
        };
    }
    OpenError::Missing {
        path: path.to_owned(),
    }
}

fn holds_tables(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| {
        entries.any(|entry| {
            entry.is_ok_and(|entry| {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                name.ends_with(".sst") || name.starts_with("MANIFEST-")
            })
        })
    })
}

fn open_database(path: &Path, exists: bool, block_cache: Cache) -> Result<Database, OpenError> {
    let options = database_options(!exists);
    let mut families: Vec<_> = ColumnFamily::ALL
        .iter()
        .map(|family| family.descriptor(&block_cache))
        .collect();
    if exists {
        // A newer version may have more families; they are opened so that its format number can be read and named.
        let stored =
            DB::list_cf(&options, path).map_err(|error| OpenError::of_database(path, &error))?;
        let unknown = stored
            .iter()
            .filter(|name| *name != rocksdb::DEFAULT_COLUMN_FAMILY_NAME)
            .filter(|name| {
                !ColumnFamily::ALL
                    .iter()
                    .any(|family| family.name() == *name)
            });
        families.extend(unknown.map(|name| unknown_family(name)));
    }
    let db = DB::open_cf_descriptors(&options, path, families)
        .map_err(|error| OpenError::of_database(path, &error))?;
    Ok(Database::new(db, block_cache))
}

fn database_options(create: bool) -> Options {
    let mut options = Options::default();
    options.create_if_missing(create);
    options.create_missing_column_families(create);
    options.set_paranoid_checks(true);
    // Up to the first record that does not check, and consistent across families. That nothing valid follows it was
    // checked before.
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    options.set_bytes_per_sync(1 << 20);
    options.set_db_write_buffer_size(WRITE_BUFFERS_BYTES);
    options.set_max_background_jobs(2);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_avoid_unnecessary_blocking_io(true);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(4 << 20);
    options.set_log_level(LogLevel::Warn);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

/// Writes format and chain id into a new database, checks them in an old one; gives the chain id.
fn check_identity(
    database: &Database,
    path: &Path,
    exists: bool,
    identity: Identity,
) -> Result<ChainId, OpenError> {
    let storage = |error: StorageError| OpenError::of_storage(path, &error);
    let format: Option<u32> = database
        .row(ColumnFamily::Meta, keys::FORMAT_KEY)
        .map_err(storage)?;
    let Some(found) = format else {
        if exists && database.scan_all(ColumnFamily::Applied).next().is_some() {
            return Err(storage(StorageError::damaged(
                "opening",
                "the store holds blocks but no format version",
            )));
        }
        return match identity {
            Identity::Expected(chain) => write_identity(database, chain)
                .map(|()| chain)
                .map_err(storage),
            Identity::Any => Err(missing_or_damaged(path)),
        };
    };
    if found != FORMAT_VERSION {
        return Err(OpenError::WrongFormat {
            path: path.to_owned(),
            found,
            expected: FORMAT_VERSION,
        });
    }
    let found: Option<ChainId> = database
        .row(ColumnFamily::Meta, keys::CHAIN_KEY)
        .map_err(storage)?;
    match (found, identity) {
        (Some(found), Identity::Expected(chain)) if found != chain => Err(OpenError::WrongChain {
            path: path.to_owned(),
            found: found.to_string(),
            expected: chain.to_string(),
        }),
        (Some(found), _) => Ok(found),
        (None, _) => Err(storage(StorageError::damaged(
            "opening",
            "the store names no chain",
        ))),
    }
}

fn write_identity(database: &Database, chain: ChainId) -> Result<(), StorageError> {
    let mut batch = database.batch();
    batch.put_row(ColumnFamily::Meta, keys::FORMAT_KEY, &FORMAT_VERSION);
    batch.put_row(ColumnFamily::Meta, keys::CHAIN_KEY, &chain);
    batch.put_row(ColumnFamily::Meta, keys::POSITION_KEY, &Position::default());
    database.write(batch, Durability::Synced)
}

fn load(
    database: Database,
    path: &Path,
    options: &StorageOptions,
    chain_id: ChainId,
    lock: DirectoryLock,
) -> Result<Storage, StorageError> {
    let position: Position = database
        .row(ColumnFamily::Meta, keys::POSITION_KEY)?
        .ok_or_else(|| StorageError::damaged("opening", "the store has no position"))?;
    check_position(&database, &position)?;
    let chain = ChainState::load(&database, position, options.cache_bytes / 3 * 2)?;
    let mempool = MempoolIndex::load(&database, &chain_id)?;
    let storage = Storage {
        chain_id,
        path: path.to_owned(),
        prune_blocks: options.prune_blocks,
        chain: RwLock::new(chain),
        mempool: Mutex::new(mempool),
        pruned_vertices: Mutex::new(PrunedVertices::default()),
        withheld: Mutex::default(),
        database,
        _lock: lock,
    };
    storage.check_top()?;
    Ok(storage)
}

/// The figures of the position must be in their order, and nothing may lie above the head.
fn check_position(database: &Database, position: &Position) -> Result<(), StorageError> {
    let damaged = |reason: String| Err(StorageError::damaged("opening", reason));
    let Some((head, id)) = position.head else {
        return if chain_state::applied_row(database, Height::ZERO)?.is_some() {
            damaged(String::from("the store has no head but an applied block"))
        } else {
            Ok(())
        };
    };
    let flushed = position.state_flushed.unwrap_or(Height::MAX);
    for (what, height) in [
        ("last irreversible block", position.irreversible),
        ("certified block", position.certified),
        ("height of the stored state", flushed),
        ("lowest undo record", position.undo_from),
        ("lowest block", position.lowest_block),
        ("block that the store began with", position.base),
    ] {
        if height > head {
            return damaged(format!("the {what} is {height}, above the head {head}"));
        }
    }
    if chain_state::applied_row(database, head)?.is_none_or(|row| row.id != id) {
        return damaged(format!(
            "the head, block {head}, is not of the applied branch"
        ));
    }
    if chain_state::applied_row(database, head.next())?.is_some() {
        return damaged(format!("a block is applied above the head {head}"));
    }
    Ok(())
}

impl Storage {
    /// The last blocks must be there, be what their ids say, follow each other, and have what takes them back.
    fn check_top(&self) -> Result<(), StorageError> {
        let view = self.view();
        let position = &view.chain().position;
        let Some((head, _)) = position.head else {
            return Ok(());
        };
        let lowest = head
            .minus(BLOCKS_VERIFIED)
            .max(position.lowest_block)
            .max(Height::ZERO);
        let mut above: Option<Block> = None;
        let mut height = head;
        loop {
            let block = self.check_block(&view, height, above.as_ref())?;
            if height >= position.lowest_undo() && height > Height::ZERO {
                let key = keys::height_key(height);
                let undo = self.database.read(ColumnFamily::Undo, &key)?;
                if undo.is_none() {
                    return Err(StorageError::damaged(
                        "opening",
                        format!("the undo record of block {height} is missing"),
                    ));
                }
            }
            if height == lowest {
                return Ok(());
            }
            above = Some(block);
            height = height.previous();
        }
    }
}
