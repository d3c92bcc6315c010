//! Puts a node together, in the order in which its parts depend on each other.

use super::backend::{BackendParts, NodeBackend};
use super::board::{Board, Standing};
use super::core_thread::{COMMANDS_MAX, CoreHandle, CoreThread, Outlets};
use super::execution::ExecutionThread;
use super::facts::FactsThread;
use super::peers::Peers;
use super::serve::Server;
use super::sync::Sync;
use super::traffic::{Traffic, reverify};
use super::verification::{self, JobQueue, Verifier};
use super::{core_thread, failures};
use crate::config::Config;
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::supervisor::Supervisor;
use holdfast_chain::{Chain, ChainStore};
use holdfast_dag::DagCore;
use holdfast_genesis::Genesis;
use holdfast_network::{Network, NetworkConfig, NetworkError, NetworkEvents, NetworkHandle};
use holdfast_replica::{MempoolConfig, Output, Replica, ReplicaConfig, Restored};
use holdfast_rpc::{Metrics, RpcConfig, RpcHandle, RpcServer};
use holdfast_storage::{CreateMode, RecordWriter, SignGuardFile, Storage, StorageOptions};
use holdfast_types::{
    CachingEd25519, Height, KeyPair, Parameters, PeerClaim, SignatureScheme, Signer, codec,
};
use std::sync::{Arc, RwLock, mpsc};
use std::time::Instant;
use zeroize::Zeroizing;

/// What a node is made of.
#[derive(Debug)]
pub struct NodeParts {
    pub config: Config,
    pub genesis: Genesis,
    /// Secret of the network identity.
    pub network_secret: Zeroizing<[u8; 32]>,
    /// The unlocked signing key, on a validator.
    pub signer: Option<Arc<KeyPair>>,
    /// Create the sign guard if it is missing: the operator says that the key has never signed.
    pub init_sign_guard: bool,
}

/// A node that runs until its supervisor stops it.
#[derive(Debug)]
pub struct RunningNode {
    network: NetworkHandle,
    rpc: RpcHandle,
}

impl RunningNode {
    /// The address of the RPC server, with the real port.
    #[must_use]
    pub const fn rpc_address(&self) -> std::net::SocketAddr {
        self.rpc.local_addr()
    }

    #[must_use]
    pub const fn network(&self) -> &NetworkHandle {
        &self.network
    }

    /// Ends the parts that talk to the outside; the others watch the supervisor.
    pub async fn stop(self) {
        self.rpc.stop().await;
        let _why = self.network.shutdown().await;
    }
}

/// Jobs that may wait: consensus, requests of peers, transactions.
const JOBS_MAX: [usize; 3] = [1024, 256, 16_384];
/// Keys whose points are kept for verification: 14 MB when full.
const KEYS_KNOWN_MAX: usize = 65_536;

/// Starts all parts; when this returns the node takes part.
pub async fn start(parts: NodeParts, supervisor: &Supervisor) -> Result<RunningNode, Failure> {
    let started = Instant::now();
    let scheme: Arc<dyn SignatureScheme> = Arc::new(CachingEd25519::new(KEYS_KNOWN_MAX));
    let chain_id = parts.genesis.chain_id();
    let parameters = Arc::new(parts.genesis.parameters().clone());
    let storage = Arc::new(open_storage(&parts)?);
    let guard = open_guard(&parts)?;
    let chain = Chain::open(
        storage.as_ref(),
        chain_id,
        Arc::clone(&parameters),
        Arc::clone(&scheme),
    )
    .map_err(|error| failures::of_chain(&error))?;
    let board = Board::new(first_standing(&storage, &chain)?);
    let replica_config = ReplicaConfig::new(
        chain_id,
        &parameters,
        mempool_config(&parts.config, &parameters),
    );
    let commits_needed = DagCore::commits_needed(&replica_config.dag);
    let (replica, first) = restore_replica(
        &parts,
        &storage,
        &chain,
        guard.as_ref(),
        replica_config,
        started,
    )?;
    let (network, events) = start_network(&parts, &parameters).await?;
    let metrics = Metrics::new(holdfast_rpc::BuildInfo {
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("HOLDFAST_COMMIT").unwrap_or("unknown"),
    });

    let jobs = Arc::new(JobQueue::new(JOBS_MAX));
    let era = Arc::new(RwLock::new(Arc::clone(replica.context())));
    let peers = Peers::default();
    let (command_sender, commands) = mpsc::sync_channel(COMMANDS_MAX);
    let core = CoreHandle::new(command_sender);
    let (execution, execution_commands) = mpsc::channel();
    let (facts, facts_received) = mpsc::channel();
    let (reverify_sender, reverify_received) = mpsc::channel();
    let (messages, messages_received) = tokio::sync::mpsc::unbounded_channel();
    let peer_arrived = Arc::new(tokio::sync::Notify::new());
    let key = parts.signer.as_ref().map(|signer| signer.public_key());

    let backend = Arc::new(NodeBackend::new(BackendParts {
        chain_id,
        chain_name: parts.genesis.chain_name().to_owned(),
        parameters: Arc::clone(&parameters),
        parameters_hash: parts.genesis.parameters_hash(),
        storage: Arc::clone(&storage),
        board: board.clone(),
        jobs: Arc::clone(&jobs),
        network: network.clone(),
        peers: peers.clone(),
        metrics: metrics.clone(),
        validator_account: parts
            .config
            .validator()
            .map(|validator| validator.account.clone()),
        key,
        moniker: parts.config.node().moniker.clone(),
    }));
    let rpc = start_rpc(&parts.config, Arc::clone(&backend), metrics.clone()).await?;

    let verifier = Arc::new(Verifier {
        chain: chain_id,
        scheme: Arc::clone(&scheme),
        era: Arc::clone(&era),
        core: core.clone(),
        network: network.clone(),
        storage: Arc::clone(&storage),
        server: Server::new(
            Arc::clone(&storage),
            board.clone(),
            tokio::runtime::Handle::current(),
            started,
            key,
        ),
    });
    let thread = |result: std::io::Result<()>| {
        result.map_err(|error| {
            Failure::new(
                ExitCode::Internal,
                "cannot start a thread",
                error,
                "raise the limit of processes and threads of this user",
            )
        })
    };
    let threads = parts.config.execution().verify_threads.get();
    thread(verification::start(supervisor, &jobs, &verifier, threads))?;
    let execution_thread = ExecutionThread {
        chain_id,
        chain,
        storage: Arc::clone(&storage),
        scheme: Arc::clone(&scheme),
        commands: execution_commands,
        core,
        board: board.clone(),
        observer: backend,
        supervisor: supervisor.clone(),
        commits_needed,
        halt_height: parts
            .config
            .node()
            .halt_height
            .map(|height| Height(height.get())),
    };
    thread(supervisor.spawn_thread("execution", move || execution_thread.run()))?;
    let core_thread = CoreThread {
        replica,
        writer: RecordWriter::new(Arc::clone(&storage), guard),
        commands,
        outlets: Outlets {
            messages,
            execution: execution.clone(),
            verify: reverify_sender,
            facts,
        },
        board: board.clone(),
        verified_era: Arc::clone(&era),
        supervisor: supervisor.clone(),
        started,
    };
    thread(supervisor.spawn_thread("core", move || core_thread.run(first)))?;
    let facts_thread = FactsThread {
        facts: facts_received,
        metrics,
        board: board.clone(),
        storage,
        network: network.clone(),
        stopping: supervisor.stopping(),
    };
    thread(supervisor.spawn_thread("facts", move || facts_thread.run()))?;
    let stopping = supervisor.stopping();
    let reverify_jobs = Arc::clone(&jobs);
    thread(supervisor.spawn_thread("reverify", move || {
        reverify(&reverify_received, &reverify_jobs, &stopping)
    }))?;

    let traffic = Traffic {
        chain: chain_id,
        scheme,
        network: network.clone(),
        peers: peers.clone(),
        jobs,
        era,
        stopping: supervisor.stopping(),
        peer_arrived: Arc::clone(&peer_arrived),
    };
    supervisor.spawn_task(
        "network-outbound",
        traffic.clone().outbound(messages_received),
    );
    supervisor.spawn_task("network-inbound", traffic.inbound(events));
    let sync = Sync {
        network: network.clone(),
        peers,
        board,
        execution,
        stopping: supervisor.stopping(),
        peer_arrived,
    };
    supervisor.spawn_task("sync", sync.run());
    watch_network(supervisor, &network);
    Ok(RunningNode { network, rpc })
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
    let guard = if parts.init_sign_guard && !path.exists() {
        SignGuardFile::create(path, key)
    } else {
        SignGuardFile::open(path, key)
    };
    guard.map(Some).map_err(|error| failures::of_guard(&error))
}

fn first_standing(storage: &Storage, chain: &Chain) -> Result<Standing, Failure> {
    let (head, head_id) = chain.head();
    let certified = chain.certified();
    let certified_id = storage
        .block_id_at(certified)
        .map_err(|error| failures::of_state(&error))?
        .unwrap_or_default();
    Ok(Standing {
        head,
        head_id,
        head_timestamp: chain.head_timestamp(),
        lib: chain.irreversible(),
        certified,
        certified_id,
        fork_blocks: chain.forks().len(),
        context: Arc::clone(chain.era()),
        between_eras: true,
        round: holdfast_types::Round::ZERO,
        certified_vertices: 0,
        active_committee: 0,
        head_changed_at: Instant::now(),
        lib_changed_at: Instant::now(),
        mempool_transactions: 0,
        mempool_bytes: 0,
        sync_target: None,
        sync_blocks_per_second: 0.0,
        core_seen_at: Instant::now(),
        signing_stopped: None,
    })
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

async fn start_network(
    parts: &NodeParts,
    parameters: &Parameters,
) -> Result<(NetworkHandle, NetworkEvents), Failure> {
    let settings = parts.config.p2p();
    let chain_id = parts.genesis.chain_id();
    let mut config = NetworkConfig::new(
        *chain_id.as_bytes(),
        parts.genesis.parameters_hash(),
        concat!("holdfast/", env!("CARGO_PKG_VERSION")),
        *parts.network_secret,
    );
    config.listen.clone_from(&settings.listen);
    config.external.clone_from(&settings.external_addresses);
    config.peers.clone_from(&settings.peers);
    config.allow_private_addresses = settings.allow_private_addresses;
    config.peers_max = usize::try_from(settings.peers_max).unwrap_or(usize::MAX);
    config.committee_slots = usize::from(parameters.max_validators).min(config.peers_max);
    config.peers_target = config.peers_target.min(config.peers_max);
    if let Some(signer) = &parts.signer {
        let peer_id = config.peer_id().to_bytes();
        let claim = PeerClaim::sign(&chain_id, &peer_id, signer.as_ref());
        config.claim = codec::encode(&claim);
    }
    Network::start(config).await.map_err(|error| {
        let code = match error {
            NetworkError::AddressInUse { .. } => ExitCode::PortInUse,
            NetworkError::Listen { .. }
            | NetworkError::Config { .. }
            | NetworkError::Resolver { .. } => ExitCode::Usage,
        };
        Failure::new(
            code,
            "the network does not start",
            error,
            "change p2p.listen or p2p.peers in holdfast.toml, or stop the other process",
        )
    })
}

async fn start_rpc(
    config: &Config,
    backend: Arc<NodeBackend>,
    metrics: Metrics,
) -> Result<RpcHandle, Failure> {
    let settings = config.rpc();
    let size = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
    let rpc_config = RpcConfig {
        listen: settings.listen,
        hosts: settings.allowed_hosts.clone(),
        cors_origins: settings.cors_origins.clone(),
        connections_max: size(settings.connections_max),
        body_max_bytes: size(settings.request_bytes_max),
        reply_max_bytes: size(settings.response_bytes_max),
        batch_entries_max: size(settings.batch_max),
        subscriptions_per_connection_max: size(settings.subscriptions_per_connection_max),
        ..RpcConfig::default()
    };
    RpcServer::start(rpc_config, backend, metrics)
        .await
        .map_err(|error| {
            let code = match error {
                holdfast_rpc::RpcError::AddressInUse { .. } => ExitCode::PortInUse,
                _ => ExitCode::Usage,
            };
            Failure::new(
                code,
                "the RPC server does not start",
                error,
                "change rpc.listen in holdfast.toml, or stop the other process",
            )
        })
}

/// The network's own task stopping is the node's end, unless the node stops.
fn watch_network(supervisor: &Supervisor, network: &NetworkHandle) {
    let stopping = supervisor.stopping();
    let network = network.clone();
    supervisor.spawn_task("network", async move {
        tokio::select! {
            () = stopping.cancelled() => Ok(()),
            reason = network.stopped() => Err(Failure::new(
                ExitCode::Internal,
                "the network task ended",
                format!("{reason:?}"),
                "restarting is safe; report this as a bug with the log",
            )),
        }
    });
}
