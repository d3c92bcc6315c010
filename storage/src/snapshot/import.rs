//! Reading a snapshot into a new store (rules SF5 and SF6).

mod following;

use super::error::SnapshotError;
use super::format::{Record, SnapshotReader, Values};
use super::manifest::Manifest;
use crate::apply::{index_transactions, put_block};
use crate::column_family::ColumnFamily;
use crate::database::Durability;
use crate::error::{OpenError, StorageError};
use crate::keys;
use crate::lock::DirectoryLock;
use crate::options::{CreateMode, StorageOptions};
use crate::rows::{AppliedRow, Position, ReceiptsRow};
use crate::storage::Storage;
use following::Following;
use holdfast_chain::ChainStore;
use holdfast_chain::snapshot::{BaseVerifier, EraLink, ExecutedRecord, ProvenBase, Trust};
use holdfast_ledger::{StateChanges, dynamic_properties, tree};
use holdfast_types::{
    BlockId, Certificate, ChainId, Era, EraContext, Height, Parameters, SignatureScheme, StateRoot,
};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

/// The chain that a snapshot has to be of.
#[derive(Clone, Debug)]
pub struct SnapshotChain {
    pub id: ChainId,
    /// Era 1, as genesis begins it.
    pub first_era: EraContext,
    pub parameters: Arc<Parameters>,
    pub scheme: Arc<dyn SignatureScheme>,
    /// A block that the operator trusts; none: certificates must lead from genesis to the snapshot.
    pub trusted: Option<BlockId>,
}

/// What was imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    pub manifest: Manifest,
    pub state_values: u64,
    /// The lowest block that is there.
    pub lowest: Height,
    pub trust: Trust,
    /// The first era whose committee nothing but the snapshot's word stands for.
    pub unproven: Option<Era>,
    /// An emergency is active: the node goes on with it.
    pub is_emergency: bool,
}

/// What a snapshot says of itself. The rest of it is not looked at.
pub fn read_manifest(input: impl Read) -> Result<Manifest, SnapshotError> {
    first(&mut SnapshotReader::new(input)?)
}

/// Imports a snapshot into the data directory `path`, which must be empty or missing. Everything is verified before anything
/// of it is there. `input` should be buffered.
pub fn import_snapshot(
    input: impl Read,
    path: &Path,
    chain: &SnapshotChain,
) -> Result<Imported, SnapshotError> {
    check_empty(path)?;
    let mut reader = SnapshotReader::new(input)?;
    let manifest = first(&mut reader)?;
    if manifest.chain != chain.id {
        return Err(SnapshotError::WrongChain {
            found: manifest.chain,
            expected: chain.id,
        });
    }
    let scratch = scratch_of(path);
    clear(&scratch)?;
    match import_into(&scratch, &mut reader, manifest, chain) {
        Ok(imported) => {
            make_live(&scratch, path)?;
            Ok(imported)
        }
        Err(error) => {
            // If that fails too, the next import does it; why this one failed is what matters.
            drop(clear(&scratch));
            Err(error)
        }
    }
}

/// Makes a store in the directory `scratch` of what follows the manifest. It is on the disk when this returns, and closed.
fn import_into(
    scratch: &Path,
    reader: &mut SnapshotReader<impl Read>,
    manifest: Manifest,
    chain: &SnapshotChain,
) -> Result<Imported, SnapshotError> {
    let options = StorageOptions {
        create: CreateMode::New,
        ..StorageOptions::default()
    };
    let storage = Storage::open(scratch, options, chain.id)?;
    let import = Import {
        storage: &storage,
        chain,
        verifier: BaseVerifier::new(
            chain.id,
            chain.first_era.clone(),
            chain.trusted,
            chain.scheme.as_ref(),
        ),
        last_key: None,
        state_root: None,
        state_values: 0,
    };
    let imported = import.run(reader, manifest)?;
    storage.sync()?;
    Ok(imported)
}

fn first(reader: &mut SnapshotReader<impl Read>) -> Result<Manifest, SnapshotError> {
    match reader.next()? {
        Some(Record::Manifest(manifest)) => Ok(manifest),
        _ => Err(reader.damaged("the manifest is missing")),
    }
}

fn check_empty(path: &Path) -> Result<(), SnapshotError> {
    let is_free = match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(OpenError::io(path, &error).into()),
    };
    if is_free {
        return Ok(());
    }
    Err(SnapshotError::NotEmpty {
        path: path.to_owned(),
    })
}

/// Where a store is made that becomes the data directory `path`.
fn scratch_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".importing");
    path.with_file_name(name)
}

/// Removes what an import that died has left.
fn clear(scratch: &Path) -> Result<(), SnapshotError> {
    if !scratch.exists() {
        return Ok(());
    }
    // Held until all is removed: another import may be running.
    let lock = DirectoryLock::take(scratch)?;
    fs::remove_dir_all(scratch).map_err(|error| OpenError::io(scratch, &error))?;
    drop(lock);
    Ok(())
}

/// Puts the finished store into its place; an empty directory there is replaced.
fn make_live(scratch: &Path, path: &Path) -> Result<(), SnapshotError> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or_else(|| Path::new("."));
    fs::rename(scratch, path)
        .and_then(|()| File::open(parent)?.sync_all())
        .map_err(|error| OpenError::io(path, &error).into())
}

struct Import<'a> {
    storage: &'a Storage,
    chain: &'a SnapshotChain,
    verifier: BaseVerifier<'a>,
    last_key: Option<Vec<u8>>,
    /// What the block of the base says.
    state_root: Option<StateRoot>,
    state_values: u64,
}

impl Import<'_> {
    fn run(
        mut self,
        reader: &mut SnapshotReader<impl Read>,
        manifest: Manifest,
    ) -> Result<Imported, SnapshotError> {
        let mut next = reader.next()?;
        while let Some(Record::Era(link)) = next {
            self.take_era(&link)?;
            next = reader.next()?;
        }
        self.put_eras()?;
        while let Some(Record::Block(record)) = next {
            self.take_block(*record)?;
            next = reader.next()?;
        }
        // Before the state, which is most of the work.
        let proven = self.verifier.finish(manifest.base)?;
        while let Some(Record::State(values)) = next {
            self.take_values(values, reader)?;
            next = reader.next()?;
        }
        self.close(&proven)?;
        let mut following = Following::begin(self.storage, self.chain)?;
        while let Some(Record::BlockAbove(block)) = next {
            following.take(*block)?;
            next = reader.next()?;
        }
        if next.is_some() {
            return Err(reader.damaged("it is not in its place"));
        }
        following.finish(manifest.top)?;
        self.finish(manifest, proven)
    }

    fn take_era(&mut self, link: &EraLink) -> Result<(), SnapshotError> {
        self.verifier.era(link)?;
        if let Some((_, certificate)) = &link.proof {
            self.put_certificate(certificate)?;
        }
        Ok(())
    }

    /// Contexts of all eras: evidence of each may come.
    fn put_eras(&self) -> Result<(), StorageError> {
        let mut batch = self.storage.database.batch();
        for context in self.verifier.eras() {
            batch.put_row(ColumnFamily::Eras, &keys::era_key(context.era), context);
        }
        self.storage.database.write(batch, Durability::Logged)
    }

    fn put_certificate(&self, certificate: &Certificate) -> Result<(), StorageError> {
        let mut batch = self.storage.database.batch();
        let key = keys::block_key(certificate.body.height, &certificate.body.block);
        batch.put_row(ColumnFamily::Certificates, &key, certificate);
        self.storage.database.write(batch, Durability::Logged)
    }

    fn take_block(&mut self, record: ExecutedRecord) -> Result<(), SnapshotError> {
        let id = self.verifier.block(&record)?;
        if let Some(certificate) = &record.certificate {
            self.put_certificate(certificate)?;
        }
        let header = &record.block.header;
        let height = header.height;
        self.state_root = Some(header.state_root);
        let mut batch = self.storage.database.batch();
        put_block(&mut batch, &id, &record.block);
        let height_key = keys::height_key(height);
        let applied = AppliedRow {
            id,
            commit: header.origin.commit(),
            anchors_era: self.verifier.anchors_era(height),
        };
        batch.put_row(ColumnFamily::Applied, &height_key, &applied);
        let decided = (0..).zip(&record.receipts);
        let decided = decided.filter(|(_, receipt)| receipt.decides());
        let decided = decided.map(|(index, receipt)| (index, &receipt.transaction));
        index_transactions(&mut batch, height, decided);
        let row = ReceiptsRow {
            receipts: record.receipts.clone(),
            events: record.events,
        };
        batch.put_row(ColumnFamily::Receipts, &height_key, &row);
        Ok(self.storage.database.write(batch, Durability::Logged)?)
    }

    fn take_values(
        &mut self,
        values: Values,
        reader: &SnapshotReader<impl Read>,
    ) -> Result<(), SnapshotError> {
        for (key, _) in &values {
            if self.last_key.as_ref().is_some_and(|last| last >= key) {
                return Err(reader.damaged("its keys do not ascend"));
            }
            self.last_key = Some(key.clone());
        }
        self.state_values += values.len() as u64;
        let values = values.into_iter().map(|(key, value)| (key, Some(value)));
        let values: Vec<_> = values.collect();
        let chain = self.storage.chain.write();
        let mut chain = chain.unwrap_or_else(PoisonError::into_inner);
        let database = &self.storage.database;
        let update = tree::update(&chain.overlay.state(database), &values)?;
        chain.overlay.apply(StateChanges {
            values,
            tree_nodes: update.nodes,
        });
        let mut batch = database.large_batch();
        chain.overlay.flush(&mut batch);
        Ok(database.write(batch, Durability::Logged)?)
    }

    /// The values must be the state of the base; then it is where the chain stands.
    fn close(&self, proven: &ProvenBase) -> Result<(), SnapshotError> {
        let expected = self.state_root.unwrap_or_default();
        let actual = tree::state_root(self.storage)?.unwrap_or_default();
        let height = proven.base.0;
        if actual != expected {
            return Err(SnapshotError::WrongState {
                height,
                expected,
                actual,
            });
        }
        let position = Position {
            head: Some(proven.base),
            irreversible: height,
            certified: height,
            state_flushed: Some(height),
            undo_from: proven.lowest.next().min(height),
            lowest_block: proven.lowest,
            base: height,
        };
        let database = &self.storage.database;
        let mut batch = database.batch();
        batch.put_row(ColumnFamily::Meta, keys::POSITION_KEY, &position);
        database.write(batch, Durability::Logged)?;
        let chain = self.storage.chain.write();
        chain.unwrap_or_else(PoisonError::into_inner).position = position;
        Ok(())
    }

    fn finish(self, manifest: Manifest, proven: ProvenBase) -> Result<Imported, SnapshotError> {
        if let Trust::BlockAbove(trusted) = proven.trust {
            let block = self.storage.block(&trusted)?;
            let at = block.map(|block| block.header.height);
            let applied = match at {
                Some(height) => self.storage.block_id_at(height)?,
                None => None,
            };
            if applied != Some(trusted) {
                return Err(SnapshotError::TrustedMissing { trusted });
            }
        }
        let properties = dynamic_properties(self.storage)?;
        let properties = properties
            .ok_or_else(|| StorageError::damaged("importing", "the state has no properties"))?;
        manifest.check(&properties)?;
        Ok(Imported {
            manifest,
            state_values: self.state_values,
            lowest: proven.lowest,
            trust: proven.trust,
            unproven: proven.unproven,
            is_emergency: properties.emergency_consensus_active,
        })
    }
}
