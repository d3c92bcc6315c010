//! The state machine.

mod ballot;
mod branches;
mod emergency;
pub(crate) mod eras;
mod forward;
pub(crate) mod halts;
pub(crate) mod listening;
mod locked_below;
mod propose;
mod restore;
mod tail;
mod vertices;

use crate::evidence::EvidencePool;
use crate::guard::SignGuard;
use crate::io::{Fact, Input, Message, Now, Output};
use crate::mempool::{Mempool, MempoolConfig};
use crate::parked::{EarlyVertices, FutureVertices};
use crate::recent_nonces::RecentNonces;
use crate::record::Record;
use crate::signed_here::SignedHere;
use eras::PendingEra;
use halts::{HaltSettings, Halts};
use holdfast_chain::CertificateCollector;
use holdfast_dag::{DagConfig, DagCore, SubDag};
use holdfast_halt::HaltInput;
use holdfast_types::{
    AttestationBody, AuthorityIndex, BlockId, Certificate, ChainId, Era, EraContext, Evidence,
    Height, Parameters, Round, Signer, VerifiedVertex,
};
use listening::Listening;
use std::collections::VecDeque;
use std::sync::Arc;
use tail::Tail;

pub use emergency::Production;
pub use restore::Restored;

/// What a replica is built with.
#[derive(Clone, Debug)]
pub struct ReplicaConfig {
    pub chain: ChainId,
    pub dag: DagConfig,
    pub mempool: MempoolConfig,
    /// A vertex dated further ahead is parked, in ms.
    pub max_clock_drift_ms: u64,
    /// Most transactions in an own vertex.
    pub vertex_transactions_max: usize,
    /// Most bytes of transactions in an own vertex.
    pub vertex_bytes_max: usize,
    /// How often something that nobody answered is said again, in ms.
    pub repeat_interval_ms: u64,
    /// Length of a slot of an emergency, in ms.
    pub slot_ms: u64,
    /// How long a stall lasts before an emergency begins, in ms.
    pub stall_ms: u64,
    /// Slots of a round.
    pub slots: u64,
    /// This node has the emergency key: it is a master.
    pub is_master: bool,
    /// How often a node that does not propose hands waiting transactions on again, in ms.
    pub forward_interval_ms: u64,
    /// How long a process with a good guard waits for what those that have answered know of its key before it signs, in ms
    /// (rule R12); with 0 it does not listen at all.
    pub listen_limit_ms: u64,
    /// How halts are watched.
    pub halts: HaltSettings,
    /// How long it listens at least once others have told what they know, in ms: a living process with the same key signs in
    /// this time.
    pub listen_min_ms: u64,
}

impl ReplicaConfig {
    #[must_use]
    pub fn new(chain: ChainId, parameters: &Parameters, mempool: MempoolConfig) -> Self {
        Self {
            chain,
            dag: DagConfig::from_parameters(parameters),
            mempool,
            max_clock_drift_ms: parameters.dag.max_clock_drift_ms,
            vertex_transactions_max: 4096,
            // Leaves room for parents, attestations and evidence below the limit of a vertex.
            vertex_bytes_max: holdfast_types::limits::VERTEX_BYTES_MAX / 2,
            repeat_interval_ms: 1000,
            slot_ms: parameters.emergency.block_interval_ms,
            stall_ms: parameters.emergency.timeout_ms,
            slots: u64::from(parameters.max_validators),
            is_master: false,
            forward_interval_ms: 5000,
            listen_limit_ms: 2000,
            halts: HaltSettings::new(chain, parameters),
            // Half as long again as the slowest pace of the DAG.
            listen_min_ms: parameters
                .dag
                .idle_round_interval_ms
                .saturating_mul(3)
                .div_euclid(2),
        }
    }
}

/// Whether this node signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SigningState {
    /// No key: a follower.
    NoKey,
    /// Signs when it is a member of the committee.
    Active,
    /// Stopped for good, for this reason.
    Stopped(String),
}

/// Open heights for attestations: about as many blocks as can be executed but not certified.
const COLLECTOR_HEIGHTS_MAX: usize = 4096;
/// Attestations of blocks this far below the certified one still make certificates.
const COLLECTOR_HEIGHTS_KEPT: u64 = 64;
/// Offences whose evidence waits to be ordered.
pub const EVIDENCE_WAITING_MAX: usize = 4096;
/// Commits that may wait to be executed before own vertices carry few transactions (rule R9).
pub const EXECUTION_LAG_MAX: u64 = 8;
/// Transactions of an own vertex while execution lags. Not none: where execution never catches up, for whatever reason,
/// clients of this node would wait for ever.
pub const LAGGING_TRANSACTIONS_MAX: usize = 64;
/// Vertices of one author that are dated ahead and wait for their time.
pub const FUTURE_PER_AUTHOR_MAX: usize = 8;
/// Vertices of one claimed author that wait for the next era.
pub const EARLY_PER_AUTHOR_MAX: usize = 4;

/// The consensus half of a node.
#[derive(Debug)]
pub struct Replica {
    config: ReplicaConfig,
    signer: Option<Arc<dyn Signer>>,
    guard: Option<SignGuard>,
    signing: SigningState,
    /// Until rule R12 is satisfied; none: this process may sign.
    listening: Option<Listening>,
    signed_here: SignedHere,
    /// See [`Self::never_stop_for_own_key`].
    ignores_own_key: bool,
    /// Era of the running or last DAG.
    context: Arc<EraContext>,
    /// The emergency whose last block is executed: `context` has its number, and those who certify that block (rule R18).
    ending: Option<Arc<EraContext>>,
    /// Blocks up to the end of the last emergency that end one, too, and were not certified then.
    open_ends: Vec<BlockId>,
    /// The running DAG; none between eras.
    dag: Option<DagCore>,
    /// The DAG on which the running emergency stands (rule R21).
    tail: Option<Tail>,
    pending_era: Option<PendingEra>,
    collector: CertificateCollector,
    certified: Height,
    mempool: Mempool,
    recent_nonces: RecentNonces,
    evidence: EvidencePool,
    halts: Halts,
    production: Production,
    future: FutureVertices,
    early: EarlyVertices,
    commits: Commits,
    /// Executed blocks of this era that an own vertex has yet to attest.
    to_attest: VecDeque<AttestationBody>,
    /// Certificate of this era's anchor, for the first own vertex.
    anchor_certificate: Option<Certificate>,
    /// The chain has left the certified anchor of this era (rule R8).
    chain_is_elsewhere: bool,
    /// Executed blocks of this era that are not known to be certified, with the rounds of their leaders.
    uncertified: VecDeque<(Height, Round)>,
    /// Leader round of the highest block of this era that is executed and certified.
    settled: Round,
    /// Round up to which the store was told to prune.
    pruned: Round,
    behind_reported: Round,
    /// Requests to the chain to hold a block, since the process began.
    holds_asked: u64,
    /// When waiting transactions were handed on last, in ms; on a node that does not propose.
    forwarded_at_ms: u64,
}

/// How far the commits of the running era have come.
#[derive(Debug, Default)]
struct Commits {
    /// Index of the last one that was executed.
    executed: u64,
    /// Index of the last one that was given to be executed.
    given: u64,
    /// Those that must not be executed yet, as they lie above the block that a resume message names (H8).
    kept_back: VecDeque<SubDag>,
}

impl Commits {
    /// The chain has executed the one with this index, and the DAG goes on after it.
    fn standing_at(index: u64) -> Self {
        Self {
            executed: index,
            given: index,
            kept_back: VecDeque::new(),
        }
    }

    /// Those of the new and the kept ones that may be executed now, `allowed` at most.
    fn take(&mut self, new: Vec<SubDag>, allowed: usize) -> Vec<SubDag> {
        self.kept_back.extend(new);
        // Others may have come with blocks of peers.
        let executed = self.executed;
        self.kept_back
            .retain(|sub_dag| sub_dag.record.index > executed);
        let count = allowed.min(self.kept_back.len());
        let taken: Vec<_> = self.kept_back.drain(..count).collect();
        if let Some(last) = taken.last() {
            self.given = last.record.index;
        }
        taken
    }

    /// How many were given and are not executed.
    const fn in_flight(&self) -> u64 {
        self.given.saturating_sub(self.executed)
    }
}

/// Asks members for vertices that this DAG lacks.
fn ask_around(now: Now, dag: &mut DagCore, out: &mut Output) {
    let era = Arc::clone(dag.context());
    let fetches = dag.fetches(now.monotonic_ms).into_iter();
    out.send.extend(fetches.map(|request| Message::Fetch {
        era: Arc::clone(&era),
        request,
    }));
    let asks = dag.asks(now.monotonic_ms).into_iter();
    out.send.extend(asks.map(|request| Message::Ask {
        era: Arc::clone(&era),
        request,
    }));
}

impl Replica {
    /// One step: everything that follows from `input` at `now`.
    pub fn step(&mut self, now: Now, input: Input) -> Output {
        let mut out = Output::default();
        match input {
            Input::Tick => {}
            Input::Vertices(vertices) => self.on_vertices(now, vertices, &mut out),
            Input::EarlyVertex(vertex) => self.on_early_vertex(*vertex, &mut out),
            Input::Attestations(attestations) => {
                for attestation in &attestations {
                    if attestation.body.era == self.context.era {
                        self.on_attestation(now, attestation, &mut out);
                    }
                }
            }
            Input::EndVote(vote) => {
                if vote.body.era == self.context.era {
                    self.on_end_vote(&vote, &mut out);
                }
            }
            Input::Certificate(certificate) => self.on_certificate(certificate, &mut out),
            Input::Evidence(evidence) => {
                for item in evidence {
                    self.own_key_in_evidence(&item, &mut out);
                    self.on_evidence(now, item, &mut out);
                }
            }
            Input::HaltProof(proof) => self.halt_step(now, HaltInput::Proof(proof), &mut out),
            Input::Governance(message) => {
                self.halt_step(now, HaltInput::Message(message), &mut out);
            }
            Input::HaltStatus(status) => self.on_halt_status(now, *status, &mut out),
            Input::OwnFault {
                cause,
                height,
                detail,
            } => {
                let fault = HaltInput::OwnFault {
                    cause,
                    height,
                    detail,
                };
                self.halt_step(now, fault, &mut out);
            }
            Input::Locking(locking) => self.on_locking(now, locking, &mut out),
            Input::Repaired => self.halt_note(now, HaltInput::Repaired, &mut out),
            Input::ResumeRefused(readiness) => self.set_readiness(now, readiness, &mut out),
            Input::ResumeExcluded { sequence } => {
                self.halt_note(now, HaltInput::ResumeExcluded { sequence }, &mut out);
            }
            Input::Transactions(submissions) => {
                self.on_transactions(now, submissions, &mut out);
            }
            Input::Executed(blocks) => {
                for block in blocks {
                    self.on_executed(now, block, &mut out);
                }
            }
            Input::TakenBack {
                common_ancestor,
                transactions,
            } => self.on_taken_back(now, common_ancestor, transactions, &mut out),
            Input::LastVertices(answer) => self.on_last_vertices(answer, &mut out),
            Input::EmergencyBlock(block) => self.on_emergency_block(now, block, &mut out),
            Input::Held(end) => self.on_held(end),
            Input::Produced(result) => self.on_produced(result, &mut out),
            Input::PeersAt(at) => self.on_peers_at(at),
            Input::Synced(standing) => self.on_synced(now, *standing, &mut out),
        }
        self.advance(now, &mut out);
        out
    }

    /// What time alone brings: parked vertices, the next era, commits, an own vertex, fetches.
    fn advance(&mut self, now: Now, out: &mut Output) {
        self.release_future(now, out);
        self.watch(now, out);
        self.advance_era(now, out);
        self.commit(now, out);
        self.follow_tail(now, out);
        self.listen(now, out);
        self.propose(now, out);
        self.produce(now, out);
        self.forward_again(now, out);
        self.watch_stall(now, out);
        if let Some(dag) = &mut self.dag {
            ask_around(now, dag, out);
        }
        self.report_behind(out);
    }

    /// Evidence is taken in every state (rule R17).
    fn on_evidence(&mut self, now: Now, evidence: Evidence, out: &mut Output) {
        if !self.evidence.insert(evidence.clone()) {
            return;
        }
        self.watch_evidence(now, &evidence, out);
        out.persist
            .push(Record::Evidence(Box::new(evidence.clone())));
        out.send.push(Message::Evidence(evidence));
    }

    fn report_behind(&mut self, out: &mut Output) {
        let Some(dag) = &self.dag else { return };
        let network_round = dag.network_round();
        let far = self.config.dag.far();
        if network_round.since(dag.round()) > far && network_round > self.behind_reported {
            self.behind_reported = network_round.plus(far);
            out.facts.push(Fact::Behind {
                round: dag.round(),
                network_round,
            });
        }
    }

    /// When the next step is due at the latest, in ms of the monotonic clock; none: when something arrives.
    #[must_use]
    pub fn next_wake_ms(&self, now: Now) -> Option<u64> {
        let mut earliest = if self.proposes() {
            // Those whose time has come count in the pace. Without a quorum they wait long: the core must not spin.
            let waiting = self.mempool.next_eligible_ms();
            waiting.filter(|at_ms| *at_ms > now.monotonic_ms)
        } else {
            self.next_forward_ms()
        };
        let mut consider = |deadline: Option<u64>| {
            earliest = match (earliest, deadline) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        };
        // With the certificate there is nothing to repeat, only a halt to wait for.
        let pending = self.pending_era.as_ref();
        let uncertified = pending.filter(|pending| pending.certificate.is_none());
        consider(uncertified.map(|pending| pending.repeat_at_ms));
        consider(self.next_halt_ms(now));
        consider(self.next_turn_ms(now));
        consider(self.tail.as_ref().map(Tail::next_wake_ms));
        consider(self.future.earliest().map(|timestamp| {
            let wait = timestamp
                .since(now.wall)
                .saturating_sub(self.config.max_clock_drift_ms);
            now.monotonic_ms.saturating_add(wait)
        }));
        if let Some(dag) = &self.dag {
            consider(dag.next_fetch_ms());
            consider(Some(dag.next_ask_ms()));
            consider(self.next_listen_ms());
            if let holdfast_dag::Pace::Until(at) = self.pace(dag, now) {
                consider(Some(at));
            }
        }
        earliest
    }

    /// A vertex that the node holds and a peer may ask for.
    #[must_use]
    pub fn vertex(&self, reference: &holdfast_types::VertexRef) -> Option<&Arc<VerifiedVertex>> {
        self.dag.as_ref()?.vertices().get(reference)
    }

    /// The era that runs or ran last here.
    #[must_use]
    pub const fn context(&self) -> &Arc<EraContext> {
        &self.context
    }

    /// True between eras: the anchor is executed, its certificate is not known yet.
    #[must_use]
    pub const fn is_between_eras(&self) -> bool {
        self.dag.is_none()
    }

    #[must_use]
    pub fn authority(&self) -> Option<AuthorityIndex> {
        self.authority_in(&self.context)
    }

    fn authority_in(&self, context: &EraContext) -> Option<AuthorityIndex> {
        if self.signing != SigningState::Active {
            return None;
        }
        let key = self.signer.as_ref()?.public_key();
        context.committee.authority_of_key(&key)
    }

    #[must_use]
    pub const fn signing(&self) -> &SigningState {
        &self.signing
    }

    /// True while nothing is signed because others have not yet shown what they have of this key (rule R12).
    #[must_use]
    pub fn listens(&self) -> bool {
        self.listening.is_some() && self.past_is_unknown()
    }

    /// From now on nothing that appears under the own key stops this replica (rule R6). For the simulator's Byzantine nodes,
    /// which sign beside their replicas; no product calls it, and no configuration leads here.
    pub const fn never_stop_for_own_key(&mut self) {
        self.ignores_own_key = true;
    }

    #[must_use]
    pub const fn certified(&self) -> Height {
        self.certified
    }

    #[must_use]
    pub const fn dag(&self) -> Option<&DagCore> {
        self.dag.as_ref()
    }

    #[must_use]
    pub const fn mempool(&self) -> &Mempool {
        &self.mempool
    }

    /// Vertices that wait for their time and vertices that wait for the next era: gauges.
    #[must_use]
    pub fn parked(&self) -> (usize, usize) {
        (self.future.count(), self.early.count())
    }

    /// Evidence that waits to be executed.
    pub fn evidence(&self) -> impl Iterator<Item = &Evidence> {
        self.evidence.iter()
    }

    /// Offences whose evidence waits to be executed: a gauge.
    #[must_use]
    pub fn evidence_waiting(&self) -> usize {
        self.evidence.len()
    }

    #[must_use]
    pub fn era(&self) -> Era {
        self.context.era
    }
}
