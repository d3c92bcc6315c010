//! What a node goes on with: its store, and what it has read from there.

use super::{KeyPast, NodeParts};
use crate::config::Config;
use crate::failure::Failure;
use crate::runtime::board::Standing;
use crate::runtime::{core_thread, failures};
use holdfast_chain::{Chain, ChainStore};
use holdfast_dag::DagConfig;
use holdfast_ledger::{StateError, StateStore};
use holdfast_replica::{MempoolConfig, Output, Replica, ReplicaConfig, Restored};
use holdfast_storage::{CreateMode, SignGuardFile, Storage, StorageOptions};
use holdfast_types::{Parameters, SignatureScheme, Signer};
use std::sync::Arc;
use std::time::Instant;

/// What a node goes on with: its store, and what it has read from there.
pub(super) struct Resumed {
    pub(super) storage: Arc<Storage>,
    /// The sign guard, on a validator.
    pub(super) guard: Option<SignGuardFile>,
    pub(super) chain: Chain,
    pub(super) standing: Standing,
    pub(super) replica: Replica,
    /// Output of the restored replica.
    pub(super) first: Output,
    /// Commits that the core thread needs to rebuild its DAG.
    pub(super) dag: DagConfig,
}

impl Resumed {
    pub(super) fn read(
        parts: &NodeParts,
        parameters: &Arc<Parameters>,
        scheme: &Arc<dyn SignatureScheme>,
        started: Instant,
    ) -> Result<Self, Failure> {
        let chain_id = parts.genesis.chain_id();
        let storage = Arc::new(open_storage(parts)?);
        let guard = open_guard(parts)?;
        let chain = Chain::open(
            storage.as_ref(),
            chain_id,
            Arc::clone(parameters),
            Arc::clone(scheme),
        )
        .map_err(|error| failures::of_chain(&error))?;
        tell_repair(storage.as_ref(), parameters).map_err(|error| failures::of_state(&error))?;
        let mut replica_config = ReplicaConfig::new(
            chain_id,
            parameters,
            mempool_config(&parts.config, parameters),
        );
        replica_config.is_master = parts.emergency.is_some();
        let dag = replica_config.dag.clone();
        let (replica, first) = restore_replica(
            parts,
            &storage,
            &chain,
            guard.as_ref(),
            replica_config,
            started,
        )?;
        let standing = Standing::first(&storage, &chain, &replica, core_thread::now(started))
            .map_err(|error| failures::of_state(&error))?;
        Ok(Self {
            storage,
            guard,
            chain,
            standing,
            replica,
            first,
            dag,
        })
    }
}

/// Says in the log that the schedule of an emergency lacked slots (E12 of the ledger).
fn tell_repair<S: StateStore + ?Sized>(
    store: &S,
    parameters: &Parameters,
) -> Result<(), StateError> {
    if let Some(slots) = holdfast_ledger::repaired_slots(store, parameters)? {
        tracing::warn!("schedule repaired, all {slots} slots set to committee");
    }
    Ok(())
}

fn open_storage(parts: &NodeParts) -> Result<Storage, Failure> {
    let settings = parts.config.storage();
    let storage = Storage::open(
        &settings.data_dir,
        StorageOptions {
            create: CreateMode::IfMissing,
            cache_bytes: settings.cache_bytes,
            prune_blocks: settings.prune_blocks.map(std::num::NonZeroU64::get),
            ..StorageOptions::default()
        },
        parts.genesis.chain_id(),
    )
    .map_err(|error| failures::of_open(&error))?;
    let head = storage.head().map_err(|error| failures::of_state(&error))?;
    if head.is_none() {
        let genesis = holdfast_genesis::genesis_block(&parts.genesis);
        storage
            .apply(holdfast_chain::genesis_batch(
                genesis.id,
                genesis.block,
                genesis.changes,
                genesis.era,
            ))
            .and_then(|()| storage.sync())
            .map_err(|error| failures::of_storage(&error))?;
        tracing::info!(chain_id = %parts.genesis.chain_id(), "genesis applied to a new data folder");
    }
    Ok(storage)
}

fn open_guard(parts: &NodeParts) -> Result<Option<SignGuardFile>, Failure> {
    let (Some(settings), Some(signer)) = (parts.config.validator(), &parts.signer) else {
        return Ok(None);
    };
    let path = &settings.sign_guard_file;
    let key = signer.public_key();
    let guard = match parts.init_sign_guard.filter(|_| !path.exists()) {
        Some(KeyPast::NeverSigned) => SignGuardFile::create(path, key),
        Some(KeyPast::Unknown) => SignGuardFile::create_for_used_key(path, key),
        None => SignGuardFile::open(path, key),
    };
    let guard = guard.map_err(|error| failures::of_guard(&error))?;
    if guard.record().past_unknown {
        tracing::warn!(
            path = %path.display(),
            "the sign guard does not know what its key has signed: nothing is signed until a quorum of the other validators has shown what it has"
        );
    }
    Ok(Some(guard))
}

fn mempool_config(config: &Config, parameters: &Parameters) -> MempoolConfig {
    let settings = config.mempool();
    let per_sender = u64::try_from(settings.per_account_max).unwrap_or(u64::MAX);
    MempoolConfig {
        transactions_max: settings.transactions_max,
        bytes_max: settings.bytes_max,
        per_sender_max: settings.per_account_max,
        nonce_gap_max: per_sender,
        gap_lifetime_blocks: parameters.dag.gc_depth * 4,
        foreign_delay_ms: 2_000,
    }
}

fn restore_replica(
    parts: &NodeParts,
    storage: &Storage,
    chain: &Chain,
    guard: Option<&SignGuardFile>,
    config: ReplicaConfig,
    started: Instant,
) -> Result<(Replica, Output), Failure> {
    let signer = match (&parts.signer, guard) {
        (Some(signer), Some(guard)) => {
            let signer: Arc<dyn Signer> = Arc::clone(signer) as Arc<dyn Signer>;
            Some((signer, guard.record().clone()))
        }
        _ => None,
    };
    let restored = Restored::read(storage, chain, &config.dag, signer)
        .map_err(|error| failures::of_state(&error))?;
    Ok(Replica::restore(
        config,
        restored,
        core_thread::now(started),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::fixture::{genesis, name};
    use crate::logging::captured;
    use holdfast_ledger::keys::{EmergencyKey, StateKey as _};
    use holdfast_ledger::objects::{EmergencyRecord, StateObject as _};
    use holdfast_types::TimestampMs;

    /// A state that has an emergency and nothing else.
    struct Emergency(EmergencyRecord);

    impl StateStore for Emergency {
        fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
            Ok((key == EmergencyKey().bytes()).then(|| self.0.encode()))
        }

        fn tree_node(&self, _key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
            Ok(None)
        }
    }

    #[test]
    fn a_repaired_schedule_is_in_the_log_and_a_whole_one_is_not() {
        let genesis = genesis();
        let parameters = genesis.parameters();
        let slots = usize::from(parameters.max_validators);
        let said = |schedule| {
            let store = Emergency(EmergencyRecord {
                slot_zero: TimestampMs(1),
                last_slot: 0,
                round: 0,
                schedule,
                producers: Vec::new(),
                recent: Vec::new(),
                filled: 0,
            });
            captured(|| tell_repair(&store, parameters).unwrap())
        };
        let whole = vec![parameters.emergency.validator_account; slots];
        assert_eq!(said(whole), "");
        let line = format!("schedule repaired, all {slots} slots set to committee");
        for torn in [Vec::new(), vec![name("val-a"); 2]] {
            let text = said(torn);
            assert!(text.contains("WARN") && text.contains(&line), "{text}");
        }
    }
}
