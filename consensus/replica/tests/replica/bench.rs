//! A replica under test, and its peers.

use holdfast_chain::{ExecutedBlock, ExecutedTransaction};
use holdfast_dag::DagConfig;
use holdfast_halt::HaltState;
use holdfast_replica::{
    ChainStanding, DagStanding, ExecutedHead, HaltSettings, HoldRequest, Input, MempoolConfig,
    Message, Now, Origin, Output, Record, Replica, ReplicaConfig, Restored, SignGuard,
    SignGuardRecord, Submission,
};
use holdfast_types::test_util::parameters::parameters;
use holdfast_types::test_util::{CHAIN, era_context, genesis_refs, key_pair, samples};
use holdfast_types::{
    AccountName, Action, AttestationBody, AuthorityIndex, Block, BlockId, BlockOrigin, Certificate,
    CommitDigest, CommitRecord, Era, EraContext, Height, Round, Signature, Signer, StateRoot,
    TimestampMs, TransactionBody, VerifiedTransaction, VerifiedVertex, VertexDraft, VertexPayload,
    VertexRef,
};
use std::sync::Arc;

pub(crate) const WALL: u64 = 2_000_000;
const STEP_MS: u64 = 100;

fn halt_settings() -> HaltSettings {
    let mut parameters = parameters();
    parameters.halt.emergency_halt_max_ms = 30 * 86_400_000;
    parameters.halt.root_divergence_min_dissenters = 1;
    parameters.stall.timeout_ms = 5_000;
    parameters.stall.rounds = 5;
    parameters.dag.idle_round_interval_ms = 100;
    HaltSettings::new(CHAIN, &parameters)
}

pub(crate) fn config() -> ReplicaConfig {
    ReplicaConfig {
        chain: CHAIN,
        dag: DagConfig {
            min_round_interval_ms: 50,
            idle_round_interval_ms: 100,
            leader_timeout_ms: 100,
            leaders_per_round: 1,
            gc_depth: 60,
            reputation_window: 32,
            rounds_ahead_max: 60,
            suspended_per_author_max: 120,
            refetch_interval_ms: 300,
            ask_interval_ms: 500,
            busy_rounds: 10,
        },
        mempool: MempoolConfig {
            transactions_max: 100,
            bytes_max: 1_000_000,
            per_sender_max: 80,
            nonce_gap_max: 16,
            gap_lifetime_blocks: 100,
            foreign_delay_ms: 500,
        },
        max_clock_drift_ms: 1_000,
        vertex_transactions_max: 100,
        vertex_bytes_max: 500_000,
        repeat_interval_ms: 1_000,
        slot_ms: parameters().emergency.block_interval_ms,
        stall_ms: parameters().emergency.timeout_ms,
        slots: 4,
        is_master: false,
        forward_interval_ms: 5_000,
        // The peers of most tests say nothing.
        listen_limit_ms: 0,
        halts: halt_settings(),
        listen_min_ms: 0,
    }
}

/// The replica is authority 0 of era 1, or follows.
pub(crate) struct Bench {
    pub(crate) context: Arc<EraContext>,
    pub(crate) replica: Replica,
    pub(crate) now_ms: u64,
    /// What the peers build on: the vertices of the last round.
    pub(crate) previous: Vec<VertexRef>,
    pub(crate) commits: Vec<CommitRecord>,
    pub(crate) persisted: Vec<Record>,
    /// Own vertices, whatever step they came with.
    pub(crate) sent: Vec<Arc<VerifiedVertex>>,
    /// The chain answers at once when it is to hold an end of an emergency.
    pub(crate) chain_holds: bool,
    /// The last request to hold one.
    pub(crate) hold: Option<HoldRequest>,
}

/// What a node knows at genesis.
fn fresh(
    context: &Arc<EraContext>,
    signer: Option<(Arc<dyn Signer>, SignGuardRecord)>,
) -> Restored {
    Restored {
        context: Arc::clone(context),
        ended: None,
        commits: Vec::new(),
        tail: None,
        vertices: Vec::new(),
        own_last: None,
        recent: Vec::new(),
        anchor_certificate: None,
        open_ends: Vec::new(),
        end_votes: None,
        certified: Height::ZERO,
        signer,
        mempool: Vec::new(),
        halts: HaltState::default(),
        evidence: Vec::new(),
        head: ExecutedHead::default(),
        head_timestamp: TimestampMs::ZERO,
        emergency: Default::default(),
    }
}

/// The chain stands in this era, and nothing else is known of it.
pub(crate) fn standing(context: &Arc<EraContext>) -> ChainStanding {
    ChainStanding {
        context: Arc::clone(context),
        commits: Vec::new(),
        vertices: Vec::new(),
        head: ExecutedHead::default(),
        head_timestamp: TimestampMs::ZERO,
        emergency: Default::default(),
        tail: None,
        end_votes: None,
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with_guard(SignGuard::empty(key_pair(0).public_key()).record().clone())
    }

    pub(crate) fn with_guard(guard: SignGuardRecord) -> Self {
        Self::start(Some((Arc::new(key_pair(0)), guard)), config())
    }

    /// The replica listens before it signs, up to `limit_ms` where its guard is good.
    pub(crate) fn listening(guard: SignGuardRecord, limit_ms: u64) -> Self {
        let config = ReplicaConfig {
            listen_limit_ms: limit_ms,
            ..config()
        };
        Self::start(Some((Arc::new(key_pair(0)), guard)), config)
    }

    /// As [`Self::listening`], and for `min_ms` more once it has its answers.
    pub(crate) fn listening_on(guard: SignGuardRecord, min_ms: u64, limit_ms: u64) -> Self {
        let config = ReplicaConfig {
            listen_limit_ms: limit_ms,
            listen_min_ms: min_ms,
            ..config()
        };
        Self::start(Some((Arc::new(key_pair(0)), guard)), config)
    }

    /// A validator that has the emergency key, too.
    pub(crate) fn master() -> Self {
        let guard = SignGuard::empty(key_pair(0).public_key()).record().clone();
        let config = ReplicaConfig {
            is_master: true,
            ..config()
        };
        Self::start(Some((Arc::new(key_pair(0)), guard)), config)
    }

    pub(crate) fn follower() -> Self {
        Self::start(None, config())
    }

    /// After a restart with a stored own vertex; what has to be done first, too.
    pub(crate) fn restored(guard: SignGuardRecord, own: Arc<VerifiedVertex>) -> (Self, Output) {
        let signer: Arc<dyn Signer> = Arc::new(key_pair(0));
        let stored = |fresh| Restored {
            own_last: Some(own),
            ..fresh
        };
        Self::restore(Some((signer, guard)), config(), stored)
    }

    /// After a restart with this guard and what was stored of halts.
    pub(crate) fn restarted(guard: SignGuardRecord, halts: HaltState) -> Self {
        let (mut bench, mut first) = Self::restarted_in_halts(guard, halts);
        bench.persisted.append(&mut first.persist);
        bench
    }

    /// The same, with what it does first.
    pub(crate) fn restarted_in_halts(guard: SignGuardRecord, halts: HaltState) -> (Self, Output) {
        let signer: Arc<dyn Signer> = Arc::new(key_pair(0));
        let stored = |fresh| Restored { halts, ..fresh };
        Self::restore(Some((signer, guard)), config(), stored)
    }

    fn start(signer: Option<(Arc<dyn Signer>, SignGuardRecord)>, config: ReplicaConfig) -> Self {
        Self::restore(signer, config, |fresh| fresh).0
    }

    fn restore(
        signer: Option<(Arc<dyn Signer>, SignGuardRecord)>,
        config: ReplicaConfig,
        stored: impl FnOnce(Restored) -> Restored,
    ) -> (Self, Output) {
        let context = Arc::new(era_context(4));
        let restored = stored(fresh(&context, signer));
        let (replica, first) = Replica::restore(config, restored, now(0));
        assert!(
            first.send.is_empty(),
            "nothing is sent before the first step"
        );
        let bench = Self {
            previous: genesis_refs(&context),
            context,
            replica,
            now_ms: 0,
            commits: Vec::new(),
            persisted: Vec::new(),
            sent: Vec::new(),
            chain_holds: true,
            hold: None,
        };
        (bench, first)
    }

    /// The same where the chain stands at `anchor`, the certified last block of era 1, after which no era has begun.
    pub(crate) fn restarted_at_certified_end(
        guard: SignGuardRecord,
        halts: HaltState,
        certificate: Certificate,
    ) -> Self {
        let signer: Arc<dyn Signer> = Arc::new(key_pair(0));
        let anchor = certificate.body;
        let stored = |fresh: Restored| Restored {
            ended: Some(Arc::clone(&fresh.context)),
            context: next_era(anchor.height.0),
            recent: vec![anchor],
            head: ExecutedHead {
                body: Some(anchor),
                ..ExecutedHead::default()
            },
            certified: anchor.height,
            anchor_certificate: Some(certificate),
            halts,
            ..fresh
        };
        Self::restore(Some((signer, guard)), config(), stored).0
    }

    /// The process ends, and starts again where the chain has come to `anchor`, the last block of the era `ended`, which stands on the
    /// DAG of this bench. What has to be done first is in the output.
    pub(crate) fn restart_at_end(
        &mut self,
        ended: Arc<EraContext>,
        next: Arc<EraContext>,
        anchor: AttestationBody,
    ) -> Output {
        let mut guard = None;
        let mut vertices = Vec::new();
        for record in &self.persisted {
            match record {
                Record::SignGuard(record) => guard = Some(record.as_ref().clone()),
                Record::PeerVertex(vertex) | Record::OwnVertex(vertex) => {
                    vertices.push(Arc::clone(vertex));
                }
                _ => {}
            }
        }
        vertices.sort_by_key(|vertex| vertex.reference());
        let signer: Arc<dyn Signer> = Arc::new(key_pair(0));
        let restored = Restored {
            context: next,
            ended: Some(ended),
            tail: Some(DagStanding {
                context: Arc::clone(&self.context),
                commits: self.commits.clone(),
                vertices,
            }),
            recent: vec![anchor],
            head: ExecutedHead {
                body: Some(anchor),
                ..ExecutedHead::default()
            },
            ..fresh(&self.context, guard.map(|guard| (signer, guard)))
        };
        let (replica, first) = Replica::restore(config(), restored, now(self.now_ms));
        self.replica = replica;
        first
    }

    /// The chain answers that it holds what it was asked to hold last.
    pub(crate) fn held(&mut self) -> Output {
        self.step(Input::Held(self.hold.expect("the chain was asked")))
    }

    /// One step; what is to be executed is noted.
    pub(crate) fn step(&mut self, input: Input) -> Output {
        let mut output = self.replica.step(now(self.now_ms), input);
        // The chain is where the replica is.
        self.hold = output.hold.or(self.hold);
        if let Some(hold) = output.hold.filter(|_| self.chain_holds) {
            let held = self.replica.step(now(self.now_ms), Input::Held(hold));
            output.persist.extend(held.persist);
            output.send.extend(held.send);
            output.facts.extend(held.facts);
            output.end_votes = output.end_votes.or(held.end_votes);
        }
        let records = output.execute.iter().map(|sub_dag| &sub_dag.record);
        self.commits.extend(records.cloned());
        self.persisted.extend(output.persist.iter().cloned());
        self.sent.extend(own_vertex(&output).cloned());
        output
    }

    pub(crate) fn tick(&mut self, after_ms: u64) -> Output {
        self.now_ms += after_ms;
        self.step(Input::Tick)
    }

    /// A vertex of a peer on all vertices of the last round, dated `ahead_ms` ahead.
    pub(crate) fn peer_vertex(
        &self,
        author: u16,
        ahead_ms: u64,
        payload: VertexPayload,
    ) -> Arc<VerifiedVertex> {
        let own = AuthorityIndex(author);
        let mut parents = self.previous.clone();
        parents.sort_by_key(|parent| (parent.author != own, *parent));
        let round = self.previous[0].round.next();
        let draft = VertexDraft {
            era: self.context.era,
            round,
            author: own,
            timestamp: TimestampMs(WALL + self.now_ms + ahead_ms),
            parents,
            payload,
        };
        Arc::new(draft.sign(&CHAIN, &key_pair(author)))
    }

    /// The round after the last one.
    pub(crate) fn next_round(&self) -> Round {
        self.previous[0].round.next()
    }

    /// A vertex under the replica's key that it did not sign, on all vertices of the last round.
    pub(crate) fn own_vertex(&self, round: Round) -> Arc<VerifiedVertex> {
        self.dated_own_vertex(round, 0)
    }

    /// As [`Self::own_vertex`]; those of different dates are different.
    pub(crate) fn dated_own_vertex(&self, round: Round, later_ms: u64) -> Arc<VerifiedVertex> {
        let mut parents = self.previous.clone();
        parents.sort();
        let draft = VertexDraft {
            era: self.context.era,
            round,
            author: AuthorityIndex(0),
            timestamp: TimestampMs(WALL + later_ms),
            parents,
            payload: VertexPayload::default(),
        };
        Arc::new(draft.sign(&CHAIN, &key_pair(0)))
    }

    /// One round: the replica proposes, if it does, and its peers do; the outputs of the two steps. The peers' vertices
    /// carry `payloads`, as far as there are any.
    pub(crate) fn round(&mut self, payloads: [VertexPayload; 3]) -> [Output; 2] {
        let proposed = self.tick(STEP_MS);
        let peers: Vec<_> = (1..)
            .zip(payloads)
            .map(|(author, payload)| self.peer_vertex(author, 0, payload))
            .collect();
        let round = peers[0].round();
        let own = self.sent.last().map(|vertex| vertex.reference());
        let own = own.filter(|own| own.round == round);
        let of_peers = peers.iter().map(|vertex| vertex.reference());
        self.previous = own.into_iter().chain(of_peers).collect();
        [proposed, self.step(Input::Vertices(peers))]
    }

    pub(crate) fn rounds(&mut self, count: usize) -> Vec<Output> {
        (0..count)
            .flat_map(|_| self.round(Default::default()))
            .collect()
    }

    /// Tells the replica of an executed block of era 1, the last one if `next` is given.
    pub(crate) fn executed(
        &mut self,
        height: u64,
        transactions: Vec<ExecutedTransaction>,
        next: Option<Arc<EraContext>>,
    ) -> Output {
        self.step(Input::Executed(vec![ExecutedBlock {
            transactions,
            ..executed_block(attestation(height, 7), self.now_ms, next)
        }]))
    }

    pub(crate) fn submit(&mut self, nonce: u64, origin: Origin) -> Output {
        self.step(Input::Transactions(vec![Submission {
            transaction: transaction(nonce),
            account_nonce: 0,
            as_of: Height::ZERO,
            origin,
        }]))
    }
}

pub(crate) fn now(now_ms: u64) -> Now {
    Now {
        monotonic_ms: now_ms,
        wall: TimestampMs(WALL + now_ms),
    }
}

pub(crate) fn own_vertex(output: &Output) -> Option<&Arc<VerifiedVertex>> {
    output.send.iter().find_map(|message| match message {
        Message::Vertex(vertex) => Some(vertex),
        _ => None,
    })
}

/// An executed block of nothing, the last one of its era if `next` is given.
pub(crate) fn executed_block(
    attestation: AttestationBody,
    now_ms: u64,
    next: Option<Arc<EraContext>>,
) -> ExecutedBlock {
    ExecutedBlock {
        attestation,
        timestamp: TimestampMs(WALL + now_ms),
        commit: None,
        transactions: Vec::new(),
        lib: Height::ZERO,
        live_time: TimestampMs::ZERO,
        governance_sequence: None,
        evidence: Vec::new(),
        next_era: next,
        open_ends: Vec::new(),
        emergency: Default::default(),
        contradictions: Vec::new(),
    }
}

pub(crate) fn attestation(height: u64, block: u8) -> AttestationBody {
    AttestationBody {
        era: Era(1),
        height: Height(height),
        block: BlockId::new([block; 32]),
        commit: CommitDigest::new([5; 32]),
        state_root: StateRoot::default(),
    }
}

/// The era after the block of [`Bench::executed`] at `height`.
pub(crate) fn next_era(height: u64) -> Arc<EraContext> {
    Arc::new(EraContext {
        era: Era(2),
        anchor: attestation(height, 7).block,
        anchor_height: Height(height),
        ..era_context(4)
    })
}

pub(crate) fn transaction(nonce: u64) -> Arc<VerifiedTransaction> {
    let body = TransactionBody {
        sender: AccountName::new("alice").expect("a valid name"),
        public_key: key_pair(9).public_key(),
        nonce,
        fee_max: 1,
        expires_at: None,
        action: Action::VoteHardfork { version: 1 },
    };
    let id = body.id(&CHAIN);
    Arc::new(VerifiedTransaction::trust(
        id,
        body.sign(&CHAIN, &key_pair(9)),
    ))
}

pub(crate) fn took(nonce: u64) -> ExecutedTransaction {
    let transaction = transaction(nonce);
    ExecutedTransaction {
        id: transaction.id(),
        sender: transaction.body().sender,
        nonce,
        nonce_consumed: true,
    }
}

pub(crate) fn slot(round: u64) -> (Era, Round) {
    (Era(1), Round(round))
}

/// An emergency block of the committee account.
pub(crate) fn emergency_block(timestamp_ms: u64) -> Box<Block> {
    let mut block: Block = samples("emergency block", 1).next().expect("one of one");
    block.header.height = Height(9);
    block.header.timestamp = TimestampMs(timestamp_ms);
    block.header.origin = BlockOrigin::Emergency {
        slot: 3,
        producer: AccountName::new("committee").expect("a valid name"),
        signature: Signature::new([0; 64]),
    };
    Box::new(block)
}
