//! Halts: what holds, what proves it, who is ready to go on, and the journal of all that happened.

use super::{AccountName, BlockRef, Hash, HexBytes, Number};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Where a chain stands between stop and start, as this node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HaltPhase {
    /// Nothing stops it.
    Running,
    /// Nothing is committed, and nobody ordered that.
    Stalled,
    /// A halt is in force.
    Halted,
    /// A resume message is being carried out.
    Resuming,
}

impl HaltPhase {
    /// The word that JSON uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stalled => "stalled",
            Self::Halted => "halted",
            Self::Resuming => "resuming",
        }
    }
}

/// A halt in force, or ordered for a height to come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HaltInForce {
    /// Id of the halt: the same on every node.
    pub id: Hash,
    /// `hard_halt` or `emergency_halt`; later versions may add more.
    pub mode: String,
    /// Stable name of what was proved: `root_divergence`, `dag_fork`, `equivocation_cluster`, `dkg_mismatch`; null for a
    /// halt that the governors ordered.
    pub cause: Option<String>,
    /// What happened, in a sentence.
    pub sentence: String,
    /// False while it waits for the height in `after_height`.
    pub active: bool,
    /// When this node learnt of it, in milliseconds since 1970-01-01 UTC.
    pub since_ms: Number,
    /// When it ends by itself; null: it does not.
    pub until_ms: Option<Number>,
    /// It takes effect after the block of this height; null: at once.
    pub after_height: Option<Number>,
    /// Why the governors ordered it, in their words.
    pub reason: Option<String>,
    /// Sequence number of the governance message that ordered it.
    pub sequence: Option<Number>,
}

/// What is wrong with this node alone: it halts, the chain goes on without it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OwnFault {
    /// Id of the halt of this node.
    pub id: Hash,
    /// `own_divergence`, `broken_invariant` or `dag_fork`.
    pub cause: String,
    /// What happened, in a sentence.
    pub sentence: String,
    /// Height at which it was found.
    pub height: Number,
    /// What was expected and what was found.
    pub detail: String,
    /// When it was found, in milliseconds since 1970-01-01 UTC.
    pub since_ms: Number,
}

/// A soft stall, as this node sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StallReport {
    /// `no_commit`, `few_certified_vertices`, `committee_below_quorum`.
    pub reasons: Vec<String>,
    /// The last commit, or the moment from which this node judges, in milliseconds since 1970-01-01 UTC.
    pub since_ms: Number,
    /// How long that is ago, in seconds.
    pub seconds: f64,
    /// It has lasted so long that it does not end without people.
    pub escalated: bool,
}

/// The figures that tell a chain that moves from one that does not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HaltFigures {
    /// The era that runs, or that ran when the chain stopped.
    pub era: Number,
    /// The newest block that this node has executed.
    pub head: BlockRef,
    /// The newest block with a certificate.
    pub certified: BlockRef,
    /// Time since this node executed a block last, in seconds.
    pub seconds_since_commit: f64,
    /// Members of the committee.
    pub committee_size: u16,
    /// Members that make a quorum.
    pub quorum: u16,
    /// Members with a vertex in the last complete round.
    pub active_committee: u16,
    /// Certified vertices in the last round where that can be known.
    pub certified_vertices: u16,
    /// Certified vertices below which a round counts as weak.
    pub certified_threshold: u16,
}

/// What one validator says of itself while the chain is halted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ValidatorStanding {
    /// Account of the validator.
    pub account: AccountName,
    /// Its position in the committee.
    pub authority: u16,
    /// True for the validator of this node.
    pub is_this_node: bool,
    /// Its newest block; null if it has said nothing.
    pub head: Option<Number>,
    /// Id of that block.
    pub block_id: Option<Hash>,
    /// State root after that block.
    pub state_root: Option<Hash>,
    /// The highest block whose certificate it has.
    pub certified: Option<Number>,
    /// The highest block of this era that it has attested.
    pub attested: Option<Number>,
    /// Its software.
    pub version: Option<String>,
    /// `not_asked`, `ready`, `behind`, `differs`, `attested_above`, `old_version`, `own_fault`; null if it has said nothing.
    pub readiness: Option<String>,
    /// What is wrong with it alone.
    pub own_fault: Option<String>,
    /// Age of its last statement by its own clock, in seconds.
    pub seconds_since_heard: Option<f64>,
}

/// Who is ready for the era after the halt: the live meter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResumeMeter {
    /// Id of the resume message that is being carried out; null: nobody has resumed.
    pub message_id: Option<Hash>,
    /// Its sequence number.
    pub sequence: Option<Number>,
    /// The block that it names.
    pub block: Option<BlockRef>,
    /// The state root after that block.
    pub state_root: Option<Hash>,
    /// Validators with older software stay out.
    pub minimum_version: Option<String>,
    /// Validators that must be ready.
    pub needed: u16,
    /// Validators that are.
    pub ready: Vec<AccountName>,
    /// Validators that cannot be without repair: another block or state, an attestation above, old software, a fault of
    /// their own.
    pub differs: Vec<AccountName>,
    /// Validators that follow but are not ready yet.
    pub waiting: Vec<AccountName>,
    /// Validators that are silent.
    pub missing: Vec<AccountName>,
    /// The committee, by authority. Statements are exchanged while a halt is in force.
    pub validators: Vec<ValidatorStanding>,
}

/// Everything about halts of one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HaltReport {
    /// In one word.
    pub chain_state: HaltPhase,
    /// The modes that hold: `soft_stall`, `hard_halt`, `emergency_halt`, `lockdown`, `emergency_consensus`,
    /// `partial_halt`.
    pub modes: Vec<String>,
    /// The halts in force, and one that waits for its height.
    pub halts: Vec<HaltInForce>,
    /// What is wrong with this node alone.
    pub own_fault: Option<OwnFault>,
    /// The soft stall that holds.
    pub stall: Option<StallReport>,
    /// The figures behind it.
    pub figures: HaltFigures,
    /// Who is ready to go on.
    pub resume: ResumeMeter,
    /// Transactions that wait on this node.
    pub transactions_queued: Number,
    /// Pieces of evidence that wait for a block.
    pub evidence_waiting: Number,
    /// Entries of the halt journal.
    pub journal_entries: Number,
    /// What an operator does next.
    pub next_command: String,
    /// Where it is explained.
    pub runbook: String,
}

/// A change of what is known of halts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HaltNotification {
    /// In one word.
    pub chain_state: HaltPhase,
    /// The modes that hold.
    pub modes: Vec<String>,
    /// Ids of the halts in force.
    pub halts: Vec<Hash>,
    /// What is wrong with this node alone.
    pub own_fault: Option<String>,
    /// Reasons of the soft stall; empty: there is none.
    pub stall_reasons: Vec<String>,
    /// Id of the resume message that is being carried out.
    pub resume: Option<Hash>,
    /// Validators that are ready.
    pub ready: Vec<AccountName>,
    /// Validators that differ.
    pub differs: Vec<AccountName>,
    /// Pieces of evidence that wait for a block.
    pub evidence_waiting: Number,
}

/// One line of the halt journal. Further fields depend on `event`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JournalEntry {
    /// Number of the entry, from 0.
    pub index: Number,
    /// Hash of the entry.
    pub hash: Hash,
    /// Hash of the entry before; zeros before the first.
    pub previous: Hash,
    /// Wall clock of this node, in milliseconds since 1970-01-01 UTC.
    pub at_ms: Number,
    /// The era that ran.
    pub era: Number,
    /// Head of this node.
    pub head: Number,
    /// `halt_began`, `halt_ended`, `stall_began`, `stall_escalated`, `stall_ended`, `message_received`,
    /// `resume_requested`, `resume_excluded`, `halt_void`, `ready`, `not_ready`, `era_started`; later versions may add more.
    pub event: String,
    /// The fields of this event.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// One field of the matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MatrixCell {
    /// The mode.
    pub mode: String,
    /// Stable name of what it says: `continues`, `plain_only`, `queued`, `queued_plain_only`, `unless_triggered`,
    /// `by_rule`, `paused`, `no_era`, `stopped`, `rejected`.
    pub permission: String,
    /// The same in the words of the documents.
    pub wording: String,
}

/// One activity in every mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MatrixRow {
    /// The activity.
    pub activity: String,
    /// What each mode says of it.
    pub cells: Vec<MatrixCell>,
    /// What the gates of this node answer now.
    pub now: String,
    /// The same in words.
    pub now_wording: String,
    /// Whether that lets the activity through.
    pub allowed: bool,
}

/// The matrix: what every activity does in every mode, and what holds now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HaltMatrix {
    /// The modes, in the order of the cells.
    pub modes: Vec<String>,
    /// The modes that hold now.
    pub modes_now: Vec<String>,
    /// One row per activity.
    pub rows: Vec<MatrixRow>,
}

/// What a halt stands on: anybody can verify it with the committee or the governors alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HaltProof {
    /// Id of the halt.
    pub id: Hash,
    /// `hard_halt` or `emergency_halt`.
    pub mode: String,
    /// `divergence`, `equivocation_cluster`, `contradictory_certificates`, `governance_message`, or `own_fault`, which
    /// concerns this node alone and proves nothing to others.
    pub kind: String,
    /// What it says, decoded. The fields depend on `kind`.
    pub proof: Map<String, Value>,
    /// The canonical encoding; empty for `own_fault`.
    pub encoded: HexBytes,
}
