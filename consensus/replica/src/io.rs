//! What goes into a replica and what comes out.

use crate::mempool::{Admission, MempoolReject, Origin};
use crate::record::Record;
use crate::replica::halts::ExecutedHead;
use crate::stored::{RecordStore, executed_head};
use holdfast_chain::serve::{era_below_emergency, open_end_votes};
use holdfast_chain::{
    Chain, ChainStore, ExecutedBlock, ProductionRefusal, ProductionTurn, last_commits,
};
use holdfast_dag::{AskRequest, DagConfig, DagCore, FetchRequest, SubDag, gc_round};
use holdfast_halt::manager::HaltRefusal;
use holdfast_halt::matrix::Mode;
use holdfast_halt::stall::StallChange;
use holdfast_ledger::{EmergencyClock, StateError};
use holdfast_types::lockdown::LockdownNotice;
use holdfast_types::wire::{GossipedGovernance, GossipedStatement};
use holdfast_types::{
    Attestation, AuthorityIndex, Block, BlockId, Certificate, CommitRecord, EndStatement, EndVote,
    EndVotes, Era, EraContext, Evidence, GovernanceMessage, HaltCause, HaltId, HaltProof, Height,
    LockdownMessage, LockdownTrigger, Readiness, ResumeOrder, Round, SignedHaltStatus,
    SignedTransaction, TimestampMs, VerifiedTransaction, VerifiedVertex, Vertex, VertexRef,
};
use std::sync::Arc;

/// The time of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic, in ms from an arbitrary origin: paces.
    pub monotonic_ms: u64,
    /// Wall clock: dates vertices.
    pub wall: TimestampMs,
}

/// A transaction that asks for a place in the mempool.
#[derive(Clone, Debug)]
pub struct Submission {
    pub transaction: Arc<VerifiedTransaction>,
    /// Nonce of its sender in the state.
    pub account_nonce: u64,
    /// Height of a block that this state holds; it may hold later ones too.
    pub as_of: Height,
    pub origin: Origin,
}

/// The answer, in the order of the submissions.
pub type SubmissionResult = Result<Admission, MempoolReject>;

/// A member's answer to [`Message::AskLastVertices`]. Its signatures were verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastVertices {
    pub from: AuthorityIndex,
    /// The era that was asked about.
    pub era: Era,
    /// The era whose DAG runs there; none between eras.
    pub running: Option<Era>,
    /// The member's own last vertex of `era`.
    pub own: Option<VertexRef>,
    /// The last vertex of whoever asked that the member knows.
    pub of_asker: Option<VertexRef>,
}

/// The chain is to stay at the end of an emergency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldRequest {
    pub end: BlockId,
    /// Tells it from an earlier request for the same block, whose answer may come after the chain has left the block and come back.
    pub number: u64,
}

/// What happens to a replica. All signatures were verified outside.
#[derive(Debug)]
pub enum Input {
    /// Time passed, or a deadline of [`crate::Replica::next_wake_ms`] came.
    Tick,
    /// Vertices of the running era.
    Vertices(Vec<Arc<VerifiedVertex>>),
    /// A vertex of the era after the running one: it cannot be verified yet.
    EarlyVertex(Box<Vertex>),
    /// Attestations that came outside of vertices.
    Attestations(Vec<Attestation>),
    /// A vote for the end of an emergency, of a member of the committee that takes over.
    EndVote(EndVote),
    /// A certificate that came from a peer.
    Certificate(Certificate),
    Evidence(Vec<Evidence>),
    /// A proof that the chain has to stop.
    HaltProof(Box<HaltProof>),
    /// A message of governance.
    Governance(Box<GovernanceMessage>),
    /// What a halted member says of itself.
    HaltStatus(Box<SignedHaltStatus>),
    Locking(Locking),
    /// Something is wrong with this node alone: it halts.
    OwnFault {
        cause: HaltCause,
        height: Height,
        detail: String,
    },
    /// The operator has repaired what was wrong with this node alone.
    Repaired,
    /// The block that [`Output::resume`] asks for was not made.
    ResumeRefused(Readiness),
    /// It cannot be made any more: a certified block excludes what the message with this sequence number orders.
    ResumeExcluded {
        sequence: u64,
    },
    /// A member has answered [`Message::AskLastVertices`].
    LastVertices(LastVertices),
    Transactions(Vec<Submission>),
    /// The execution half has applied and stored these blocks.
    Executed(Vec<ExecutedBlock>),
    /// The chain went over to another branch: its blocks above `common_ancestor` were taken back. `transactions` were in
    /// them and are nowhere on the chain now, and are stored as waiting; each comes with the nonce that its sender has now,
    /// or none if there is no such account any more. The blocks of the other branch follow as executed, then where the
    /// chain stands.
    TakenBack {
        common_ancestor: Height,
        transactions: Vec<ReturnedTransaction>,
    },
    /// An emergency block of a peer that its producer has signed.
    EmergencyBlock(Box<Block>),
    /// The chain holds the block of [`Output::hold`]: it is not left for one that is as far.
    Held(HoldRequest),
    /// What came of [`Output::produce`]; a block that was made is executed and stored.
    Produced(Result<Box<Block>, ProductionRefusal>),
    /// The head of the best peer while this node is behind it and fetches its blocks. To be told once peers were asked for the
    /// first time, and with every change.
    PeersAt(Option<Height>),
    /// Blocks came from peers and were applied, or taken back: the chain stands there.
    Synced(Box<ChainStanding>),
}

/// What happens about a lockdown.
#[derive(Debug)]
pub enum Locking {
    /// A member's statement.
    Said(Box<LockdownMessage>),
    /// Certificates, of whoever was there.
    Notice(Box<LockdownNotice>),
    /// This validator is to vote to freeze the chain.
    VoteToLock {
        trigger: LockdownTrigger,
        reason: Vec<u8>,
    },
    /// This validator is to vote to go on, until the chain does.
    VoteToGoOn,
}

impl From<EndStatement> for Input {
    fn from(statement: EndStatement) -> Self {
        match statement {
            EndStatement::Attestation(attestation) => Self::Attestations(vec![attestation]),
            EndStatement::Vote(vote) => Self::EndVote(vote),
        }
    }
}

/// Where the chain stands, for a replica that starts its DAG from there.
#[derive(Clone, Debug)]
pub struct ChainStanding {
    pub context: Arc<EraContext>,
    /// The last commits of the era.
    pub commits: Vec<CommitRecord>,
    /// Stored vertices of the era that the replica may have let go of.
    pub vertices: Vec<Arc<VerifiedVertex>>,
    /// Also where blocks were only taken back.
    pub head: ExecutedHead,
    pub head_timestamp: TimestampMs,
    pub emergency: EmergencyClock,
    /// The DAG on which an emergency stands that runs or has just ended (rule R21).
    pub tail: Option<DagStanding>,
    /// Votes of a quorum for the newest end of an emergency that no certificate covers.
    pub end_votes: Option<Box<EndVotes>>,
}

/// What the store has of a DAG.
#[derive(Clone, Debug)]
pub struct DagStanding {
    pub context: Arc<EraContext>,
    /// The last commits, in order ([`DagCore::commits_needed`] of them or all).
    pub commits: Vec<CommitRecord>,
    /// Stored vertices that can still be committed, by rising reference.
    pub vertices: Vec<Arc<VerifiedVertex>>,
}

impl DagStanding {
    /// The DAG of an era on the branch of the store up to the block `up_to`.
    pub fn read<S: ChainStore + RecordStore + ?Sized>(
        store: &S,
        context: Arc<EraContext>,
        up_to: Height,
        dag: &DagConfig,
    ) -> Result<Self, StateError> {
        let commits = last_commits(store, &context, up_to, DagCore::commits_needed(dag))?;
        let floor = commits.last().map_or(Round::ZERO, |commit| {
            gc_round(commit.leader.round, dag.gc_depth)
        });
        let vertices = store.vertices_above(context.era, floor)?;
        Ok(Self {
            context,
            commits,
            vertices: vertices.into_iter().map(Arc::new).collect(),
        })
    }

    /// The DAG on which the lowest emergency stands that no certificate covers.
    pub fn below_emergency<S: ChainStore + RecordStore + ?Sized>(
        store: &S,
        chain: &Chain,
        dag: &DagConfig,
    ) -> Result<Option<Self>, StateError> {
        let Some(context) = era_below_emergency(store)? else {
            return Ok(None);
        };
        let up_to = store
            .era(context.era.next())?
            .map_or_else(|| chain.head().0, |emergency| emergency.anchor_height);
        Self::read(store, Arc::new(context), up_to, dag).map(Some)
    }

    pub(crate) fn last_commit_index(&self) -> u64 {
        self.commits.last().map_or(0, |commit| commit.index)
    }
}

impl ChainStanding {
    /// Of a chain and its store, with as many commits as a DAG needs; after blocks were taken back with the vertices, too, that
    /// led to them.
    pub fn of<S: ChainStore + RecordStore + ?Sized>(
        store: &S,
        chain: &Chain,
        dag: &DagConfig,
        were_taken_back: bool,
    ) -> Result<Self, StateError> {
        let (context, head) = (Arc::clone(chain.era()), chain.head().0);
        let (commits, vertices) = if were_taken_back {
            let standing = DagStanding::read(store, Arc::clone(&context), head, dag)?;
            (standing.commits, standing.vertices)
        } else {
            let needed = DagCore::commits_needed(dag);
            (last_commits(store, &context, head, needed)?, Vec::new())
        };
        Ok(Self {
            tail: DagStanding::below_emergency(store, chain, dag)?,
            end_votes: open_end_votes(store)?.map(Box::new),
            commits,
            vertices,
            context,
            head: executed_head(store, chain)?,
            head_timestamp: chain.head_timestamp(),
            emergency: chain.emergency_clock(),
        })
    }
}

/// What leaves the node.
#[derive(Clone, Debug)]
pub enum Message {
    Vertex(Arc<VerifiedVertex>),
    /// Of the last block of an era.
    Statement(GossipedStatement),
    Evidence(Evidence),
    HaltProof {
        proof: HaltProof,
        repetition: u32,
    },
    HaltStatus(SignedHaltStatus),
    /// To whoever knows the cluster secret.
    Lockdown {
        message: LockdownMessage,
        repetition: u32,
    },
    Governance(GossipedGovernance),
    EmergencyBlock(Box<Block>),
    /// Ask a member for the halts that it is in: it says that it is in one that this node does not know.
    AskHalts {
        era: Arc<EraContext>,
        to: AuthorityIndex,
    },
    /// Hand on to those that propose.
    Transactions(Vec<SignedTransaction>),
    /// Vertices of this era from one of its members.
    Fetch {
        era: Arc<EraContext>,
        request: FetchRequest,
    },
    /// Ask a member what it has.
    Ask {
        era: Arc<EraContext>,
        request: AskRequest,
    },
    /// Ask a member for its own last vertex and the last one of `author`, which is this node (rule R12). Only an answer
    /// of the member itself counts.
    AskLastVertices {
        era: Era,
        author: AuthorityIndex,
        to: AuthorityIndex,
    },
    /// Ask peers for the certificate of the last block of an era, others with every turn ([`crate::asking`]).
    FetchCertificate {
        height: Height,
        turn: usize,
    },
}

/// Something that happened, for logs and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    Proposed {
        round: Round,
        transactions: usize,
    },
    Committed {
        leader_round: Round,
        index: u64,
        vertices: usize,
        transactions: usize,
    },
    Certified {
        height: Height,
    },
    EraEnded {
        era: Era,
        anchor_height: Height,
    },
    EraStarted {
        era: Era,
        committee_size: usize,
        authority: Option<AuthorityIndex>,
    },
    Equivocation {
        author: AuthorityIndex,
        round: Round,
    },
    ContradictoryAttestations {
        author: AuthorityIndex,
        height: Height,
    },
    /// The network is this far ahead in rounds.
    Behind {
        round: Round,
        network_round: Round,
    },
    SignRefused {
        reason: String,
    },
    /// Our key signs elsewhere: signing stopped for good.
    Doppelganger {
        era: Era,
        round: Round,
    },
    /// Vertices under our key exist that the guard does not know: nothing is signed until rule R12 is satisfied.
    PastUnknown {
        era: Era,
        round: Round,
    },
    /// Rule R12 is satisfied: this process signs from now on.
    Listened,
    VertexParked {
        author: AuthorityIndex,
        ahead_ms: u64,
    },
    VertexDropped {
        author: AuthorityIndex,
        reason: &'static str,
    },
    /// A halt took effect here.
    HaltBegan {
        halt: HaltId,
        mode: Mode,
        cause: Option<HaltCause>,
    },
    HaltEnded {
        halt: HaltId,
        mode: Mode,
    },
    /// A halt of governance holds no more, as a quorum does not follow it (rule H20 of the manager).
    HaltVoid {
        halt: HaltId,
    },
    /// The members of this era have frozen the chain: the emergency that began on it is to be taken back (rule R24).
    YieldsToLockdown {
        era: Era,
    },
    Stall(StallChange),
    /// A message of governance was accepted.
    GovernanceAccepted {
        sequence: u64,
        action: &'static str,
    },
    /// Whether this validator is ready for the era after a halt has changed.
    Readiness(Readiness),
    /// This node has made an emergency block.
    Produced {
        height: Height,
        slot: u64,
        transactions: usize,
    },
    /// The chain has been locked for so long, and too few validators vote to go on.
    LockdownLasts {
        for_ms: u64,
    },
    /// This node has the emergency key, and slots pass without a block.
    ProducerOverdue {
        slot: u64,
        refusal: Option<ProductionRefusal>,
    },
}

/// A transaction of a block that was taken back, with the nonce of its sender now; none if the account is gone.
pub type ReturnedTransaction = (Arc<VerifiedTransaction>, Option<u64>);

/// A question about the block with which a halted chain is to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumeRequest {
    pub order: ResumeOrder,
    /// The block is to be made. If not, this validator keeps out, and only wants to know whether the order still holds.
    pub is_ready: bool,
}

/// What a step asks of the shell. Its order: `persist` durable, then `send`; the rest in any order.
#[must_use]
#[derive(Debug, Default)]
pub struct Output {
    pub persist: Vec<Record>,
    pub send: Vec<Message>,
    /// To the execution half, in this order.
    pub execute: Vec<SubDag>,
    /// To the execution half, after the commits: the members of this era have frozen the chain. Take the emergency back that
    /// began in it, and take none.
    pub yield_to_lockdown: Option<Era>,
    /// Certificates that became known, to the execution half.
    pub certificates: Vec<Certificate>,
    /// Vertices that were parked for this era: verify them and offer them again.
    pub verify: Vec<Vertex>,
    /// A certificate that came with an early vertex: verify it and offer it.
    pub verify_certificates: Vec<Certificate>,
    pub submissions: Vec<SubmissionResult>,
    /// What came of each proof, message and fault, in their order.
    pub verdicts: Vec<Result<(), HaltRefusal>>,
    /// To the execution half: make the block that a message orders, or say why not.
    pub resume: Option<Box<ResumeRequest>>,
    /// To the execution half: make an emergency block, if the slot is ours, and answer with [`Input::Produced`]. Who signs is
    /// for whoever holds the keys.
    pub produce: Option<Box<ProductionTurn>>,
    /// To the execution half: this validator is about to vote for the block that ends an emergency, as soon as the chain holds it.
    pub hold: Option<HoldRequest>,
    /// To the execution half: a quorum has voted for the block that ends an emergency.
    pub end_votes: Option<EndVotes>,
    /// To the execution half: emergency blocks of peers.
    pub offer: Vec<Block>,
    /// An era started here: vertices are verified against it now.
    pub era_started: Option<Arc<EraContext>>,
    pub facts: Vec<Fact>,
}
