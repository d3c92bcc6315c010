//! Puts a node together, in the order in which its parts depend on each other.

mod resumed;

use super::alerts::{Alerts, Webhook};
use super::backend::{BackendParts, NodeBackend};
use super::board::Board;
use super::cluster::Cluster;
use super::core_thread::{COMMANDS_MAX, CoreCommand, CoreHandle, CoreThread, Outlets, Reverify};
use super::execution::{ExecutionCommand, ExecutionThread};
use super::facts::FactsThread;
use super::key_keeper::{Farewell, KeyKeeper};
use super::listeners::{start_network, start_rpc};
use super::peers::Peers;
use super::risk::RiskWatch;
use super::sabotage::{InjectedFault, Saboteur};
use super::serve::Server;
use super::sync::{EmergencySync, Sync};
use super::traffic::{Traffic, reverify};
use super::verification::{self, Job, JobQueue, Verifier};
use crate::config::Config;
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::forensics;
use crate::forensics::{NodeScene, Preserver, StaticFacts};
use crate::recorder::Recorder;
use crate::supervisor::Supervisor;
use crate::watchdog::{Heartbeat, Limits, ServiceManager, Vitals, Watchdog};
use holdfast_chain::Chain;
use holdfast_dag::DagConfig;
use holdfast_genesis::Genesis;
use holdfast_network::{NetworkEvents, NetworkHandle};
use holdfast_replica::validator_guard::{GuardConfig, ValidatorGuard};
use holdfast_replica::{Fact, Input, Message, Output, Replica};
use holdfast_rpc::{BuildInfo, Metrics, RpcHandle};
use holdfast_storage::{RecordWriter, SignGuardFile, Storage};
use holdfast_types::{
    AccountName, CachingEd25519, ChainId, EraContext, HaltId, Height, KeyPair, Parameters,
    PublicKey, SignatureScheme, Signer,
};
use resumed::Resumed;
use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, RwLock};
use std::time::Instant;
use tokio::sync::mpsc::UnboundedReceiver;
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
    /// The unlocked emergency key, on a master.
    pub emergency: Option<Arc<KeyPair>>,
    /// The key of the validator's account, if the node is to give a lost signing key back.
    pub owner: Option<Arc<KeyPair>>,
    /// What it shares with the other members, for a lockdown.
    pub cluster: Cluster,
    /// Create the sign guard if it is missing; the operator says what is known of the key.
    pub init_sign_guard: Option<KeyPast>,
    /// Every setting with its origin, for whoever looks into an incident.
    pub settings: serde_json::Value,
    /// Who has started the node, if it wants to hear from it.
    pub service_manager: Option<ServiceManager>,
    /// The operator has repaired what was wrong with this node alone.
    pub repaired: bool,
    /// A drill may ask this node for a fault.
    pub inject_fault: Option<InjectedFault>,
}

/// What an operator says of a key whose sign guard is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum KeyPast {
    /// It may have signed.
    Unknown,
    /// It has never signed anything.
    NeverSigned,
}

/// A node that runs until its supervisor stops it.
#[derive(Debug)]
pub struct RunningNode {
    network: NetworkHandle,
    rpc: RpcHandle,
    farewell: Option<Farewell>,
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

    /// What is to be said before the node stops, if anything is.
    pub const fn take_farewell(&mut self) -> Option<Farewell> {
        self.farewell.take()
    }

    /// Ends the parts that talk to the outside; the others watch the supervisor.
    pub async fn stop(self) {
        self.rpc.stop().await;
        let _why = self.network.shutdown().await;
    }
}

/// What this binary was built from.
pub(super) const BUILD: BuildInfo<'static> = BuildInfo {
    version: env!("CARGO_PKG_VERSION"),
    commit: match option_env!("HOLDFAST_COMMIT") {
        Some(commit) => commit,
        None => "unknown",
    },
};
/// Jobs that may wait: consensus, requests of peers, transactions.
const JOBS_MAX: [usize; 3] = [1024, 256, 16_384];
/// Keys whose points are kept for verification: 14 MB when full.
const KEYS_KNOWN_MAX: usize = 65_536;

/// Starts all parts; when this returns the node takes part.
pub async fn start(mut parts: NodeParts, supervisor: &Supervisor) -> Result<RunningNode, Failure> {
    let started = Instant::now();
    let scheme: Arc<dyn SignatureScheme> = Arc::new(CachingEd25519::new(KEYS_KNOWN_MAX));
    let parameters = Arc::new(parts.genesis.parameters().clone());
    let resumed = Resumed::read(&parts, &parameters, &scheme, started)?;
    let (network, events) = start_network(&parts, &parameters).await?;
    let (watchdog, [core_heartbeat, execution_heartbeat]) = watchdog(&mut parts);

    let (core_sender, core_commands) = mpsc::sync_channel(COMMANDS_MAX);
    let (execution, execution_commands) = mpsc::channel();
    let (facts, facts_received) = mpsc::channel();
    let (reverify_sender, reverify_received) = mpsc::channel();
    let (messages, messages_received) = tokio::sync::mpsc::unbounded_channel();
    let outlets = Outlets {
        messages,
        execution: execution.clone(),
        verify: reverify_sender,
        facts,
    };
    let shared = Shared {
        supervisor,
        started,
        chain_id: parts.genesis.chain_id(),
        key: parts.signer.as_ref().map(|signer| signer.public_key()),
        scheme,
        era: Arc::new(RwLock::new(Arc::clone(resumed.replica.context()))),
        storage: resumed.storage,
        board: Board::new(resumed.standing),
        network,
        peers: Peers::default(),
        metrics: Metrics::new(BUILD),
        jobs: Arc::new(JobQueue::new(JOBS_MAX)),
        core: CoreHandle::new(core_sender),
        execution,
        recorder: Recorder::default(),
        cluster: parts.cluster.clone(),
        vitals: watchdog.vitals(),
        far_blocks: DagConfig::from_parameters(&parameters).far(),
    };

    let backend = Arc::new(shared.backend(&parts, Arc::clone(&parameters)));
    let rpc = start_rpc(&parts.config, Arc::clone(&backend), shared.metrics.clone()).await?;
    shared.start_verification(&parts, Arc::clone(&parameters))?;
    shared.start_execution(
        &parts,
        resumed.chain,
        resumed.dag,
        execution_commands,
        Arc::clone(&backend),
        execution_heartbeat,
    )?;
    let core = CoreParts {
        replica: resumed.replica,
        first: resumed.first,
        guard: resumed.guard,
        saboteur: Saboteur::of(&parts, supervisor)?,
    };
    shared.start_core(core, core_commands, outlets, core_heartbeat)?;
    let halts = shared.start_preserver(&parts)?;
    shared.start_facts(facts_received, backend, halts, &parts)?;
    shared.start_reverify(reverify_received)?;
    shared.start_network_tasks(events, messages_received, &parameters);
    let watching = watchdog.start(supervisor);
    watching.map_err(|error| no_thread(&error))?;
    Ok(RunningNode {
        farewell: shared.start_guard(&parts, &parameters),
        network: shared.network,
        rpc,
    })
}

fn watchdog(parts: &mut NodeParts) -> (Watchdog, [Heartbeat; 2]) {
    let service_manager = parts.service_manager.take();
    Watchdog::over(["core", "execution"], Limits::default(), service_manager)
}

/// What the core thread begins with.
struct CoreParts {
    replica: Replica,
    first: Output,
    guard: Option<SignGuardFile>,
    saboteur: Option<Saboteur>,
}

/// What several parts hold; each start takes its own handles from here.
struct Shared<'a> {
    supervisor: &'a Supervisor,
    started: Instant,
    chain_id: ChainId,
    /// The public half of the signing key, on a validator.
    key: Option<PublicKey>,
    scheme: Arc<dyn SignatureScheme>,
    /// The era that vertices are verified against.
    era: Arc<RwLock<Arc<EraContext>>>,
    storage: Arc<Storage>,
    board: Board,
    network: NetworkHandle,
    peers: Peers,
    metrics: Metrics,
    jobs: Arc<JobQueue<Job>>,
    core: CoreHandle,
    execution: Sender<ExecutionCommand>,
    recorder: Recorder,
    cluster: Cluster,
    vitals: Vitals,
    /// So many blocks behind a peer is far.
    far_blocks: u64,
}

impl Shared<'_> {
    fn backend(&self, parts: &NodeParts, parameters: Arc<Parameters>) -> NodeBackend {
        NodeBackend::new(BackendParts {
            chain_id: self.chain_id,
            chain_name: parts.genesis.chain_name().to_owned(),
            parameters,
            parameters_hash: parts.genesis.parameters_hash(),
            storage: Arc::clone(&self.storage),
            scheme: Arc::clone(&self.scheme),
            core: self.core.clone(),
            board: self.board.clone(),
            jobs: Arc::clone(&self.jobs),
            network: self.network.clone(),
            peers: self.peers.clone(),
            metrics: self.metrics.clone(),
            validator_account: parts
                .config
                .validator()
                .map(|validator| validator.account.clone()),
            key: self.key,
            cluster: self.cluster.clone(),
            votes_from: parts.config.lockdown().vote_at_risk,
            vitals: self.vitals.clone(),
            moniker: parts.config.node().moniker.clone(),
        })
    }

    fn start_verification(
        &self,
        parts: &NodeParts,
        parameters: Arc<Parameters>,
    ) -> Result<(), Failure> {
        let threads = parts.config.execution().verify_threads.get();
        let verifier = Arc::new(Verifier {
            chain: self.chain_id,
            parameters,
            scheme: Arc::clone(&self.scheme),
            era: Arc::clone(&self.era),
            core: self.core.clone(),
            network: self.network.clone(),
            storage: Arc::clone(&self.storage),
            server: Server::new(
                Arc::clone(&self.storage),
                self.board.clone(),
                tokio::runtime::Handle::current(),
                self.started,
                self.key,
            ),
            cluster: self.cluster.clone(),
        });
        verification::start(self.supervisor, &self.jobs, &verifier, threads)
            .map_err(|error| no_thread(&error))
    }

    fn start_execution(
        &self,
        parts: &NodeParts,
        chain: Chain,
        dag: DagConfig,
        commands: Receiver<ExecutionCommand>,
        observer: Arc<NodeBackend>,
        heartbeat: Heartbeat,
    ) -> Result<(), Failure> {
        let halt_height = parts.config.node().halt_height;
        let execution_thread = ExecutionThread {
            chain_id: self.chain_id,
            chain,
            storage: Arc::clone(&self.storage),
            scheme: Arc::clone(&self.scheme),
            commands,
            core: self.core.clone(),
            board: self.board.clone(),
            observer,
            supervisor: self.supervisor.clone(),
            dag,
            halt_height: halt_height.map(|height| Height(height.get())),
            recorder: self.recorder.clone(),
            started: self.started,
            heartbeat,
            metrics: self.metrics.clone(),
            is_faulty: self.board.halts().state.own_fault.is_some() && !parts.repaired,
            validator: parts.signer.clone(),
            master: parts.emergency.clone(),
        };
        if parts.repaired {
            // Before anything else: the fault is over for the core thread too.
            self.core.input(Input::Repaired);
        }
        self.start_thread("execution", move || execution_thread.run())
    }

    fn start_core(
        &self,
        parts: CoreParts,
        commands: Receiver<CoreCommand>,
        outlets: Outlets,
        heartbeat: Heartbeat,
    ) -> Result<(), Failure> {
        let core_thread = CoreThread {
            replica: parts.replica,
            writer: RecordWriter::new(Arc::clone(&self.storage), parts.guard),
            commands,
            outlets,
            board: self.board.clone(),
            verified_era: Arc::clone(&self.era),
            supervisor: self.supervisor.clone(),
            started: self.started,
            halts_changed: true,
            halts_held: false,
            recorder: self.recorder.clone(),
            entries: Vec::new(),
            heartbeat,
            metrics: self.metrics.clone(),
            saboteur: parts.saboteur,
        };
        self.start_thread("core", move || core_thread.run(parts.first))
    }

    /// Starts the thread that preserves; gives where halts are told to it.
    fn start_preserver(&self, parts: &NodeParts) -> Result<Sender<HaltId>, Failure> {
        let scene = NodeScene {
            facts: StaticFacts {
                chain: self.chain_id,
                chain_name: parts.genesis.chain_name().to_owned(),
                parameters: Arc::new(parts.genesis.parameters().clone()),
                parameters_hash: parts.genesis.parameters_hash(),
                settings: parts.settings.clone(),
                key: self.key,
                commit: BUILD.commit,
            },
            recorder: self.recorder.clone(),
            board: self.board.clone(),
            storage: Arc::clone(&self.storage),
            peers: self.peers.clone(),
            supervisor: self.supervisor.clone(),
        };
        let (halts, requests) = mpsc::channel();
        let preserver = Preserver {
            scene: Box::new(scene),
            settings: forensics::Settings::beside(&parts.config.storage().data_dir),
            requests,
            metrics: self.metrics.clone(),
        };
        self.start_thread("forensics", move || preserver.run())?;
        Ok(halts)
    }

    /// Alerts are told by webhook, if there is one.
    fn start_alerts(&self, parts: &NodeParts) -> Alerts {
        let Some(url) = parts.config.alerts_webhook().cloned() else {
            return Alerts::default();
        };
        let alerts = Alerts::new();
        let webhook = Webhook {
            url,
            alerts: alerts.clone(),
            instance: parts.config.node().moniker.clone(),
            chain: parts.genesis.chain_name().to_owned(),
            metrics: self.metrics.clone(),
        };
        let stopping = self.supervisor.stopping();
        self.supervisor.spawn_task("alerts", webhook.run(stopping));
        alerts
    }

    fn start_facts(
        &self,
        facts: Receiver<Fact>,
        backend: Arc<NodeBackend>,
        halts: Sender<HaltId>,
        parts: &NodeParts,
    ) -> Result<(), Failure> {
        let votes_from = parts.config.lockdown().vote_at_risk;
        let risk = RiskWatch::new(parts.genesis.parameters(), votes_from);
        let alerts = self.start_alerts(parts);
        let facts_thread = FactsThread {
            facts,
            metrics: self.metrics.clone(),
            board: self.board.clone(),
            storage: Arc::clone(&self.storage),
            network: self.network.clone(),
            backend,
            stopping: self.supervisor.stopping(),
            halts,
            risk,
            alerts,
        };
        self.start_thread("facts", move || facts_thread.run())
    }

    fn start_reverify(&self, requests: Receiver<Reverify>) -> Result<(), Failure> {
        let jobs = Arc::clone(&self.jobs);
        let stopping = self.supervisor.stopping();
        self.start_thread("reverify", move || reverify(&requests, &jobs, &stopping))
    }

    fn start_network_tasks(
        &self,
        events: NetworkEvents,
        messages: UnboundedReceiver<Message>,
        parameters: &Parameters,
    ) {
        let emergency = EmergencySync {
            fork_blocks_max: usize::try_from(parameters.fork_db_max).unwrap_or(usize::MAX),
            max_clock_drift_ms: parameters.dag.max_clock_drift_ms,
        };
        let peer_arrived = Arc::new(tokio::sync::Notify::new());
        let traffic = Traffic {
            chain: self.chain_id,
            scheme: Arc::clone(&self.scheme),
            network: self.network.clone(),
            peers: self.peers.clone(),
            jobs: Arc::clone(&self.jobs),
            era: Arc::clone(&self.era),
            stopping: self.supervisor.stopping(),
            peer_arrived: Arc::clone(&peer_arrived),
            recorder: self.recorder.clone(),
            cluster: self.cluster.clone(),
            started: self.started,
        };
        let outbound = traffic.clone().outbound(messages);
        self.supervisor.spawn_task("network-outbound", outbound);
        let inbound = traffic.inbound(events);
        self.supervisor.spawn_task("network-inbound", inbound);
        let sync = Sync {
            network: self.network.clone(),
            peers: self.peers.clone(),
            board: self.board.clone(),
            execution: self.execution.clone(),
            stopping: self.supervisor.stopping(),
            peer_arrived,
            far_blocks: self.far_blocks,
            core: self.core.clone(),
            emergency,
        };
        self.supervisor.spawn_task("sync", sync.run());
        watch_network(self.supervisor, &self.network);
    }

    /// The validator guard, where the node has the key of the account; its farewell, if one is wanted.
    fn start_guard(&self, parts: &NodeParts, parameters: &Parameters) -> Option<Farewell> {
        let validator = parts.config.validator()?;
        let account = AccountName::new(&validator.account).ok()?;
        let (farewell, farewells) = Farewell::new();
        let guard = KeyKeeper {
            guard: ValidatorGuard::new(GuardConfig::new(
                self.chain_id,
                account,
                self.key?,
                &parameters.emergency,
            )),
            owner: parts.owner.clone()?,
            storage: Arc::clone(&self.storage),
            board: self.board.clone(),
            jobs: Arc::clone(&self.jobs),
            stopping: self.supervisor.stopping(),
            started: self.started,
            farewells,
        };
        self.supervisor.spawn_task("validator-guard", guard.run());
        validator.disable_key_on_shutdown.then_some(farewell)
    }

    fn start_thread(
        &self,
        name: &str,
        body: impl FnOnce() -> Result<(), Failure> + Send + 'static,
    ) -> Result<(), Failure> {
        self.supervisor
            .spawn_thread(name, body)
            .map_err(|error| no_thread(&error))
    }
}

fn no_thread(error: &io::Error) -> Failure {
    Failure::new(
        ExitCode::Internal,
        "cannot start a thread",
        error,
        "raise the limit of processes and threads of this user",
    )
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
