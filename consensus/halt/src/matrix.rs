//! The matrix: what every activity does in every mode (DESIGN §6).
//!
//! Rules:
//!
//! * M1. The matrix is data, in one place: the function `row`. RPC, documents and gates all read it there.
//! * M2. Several modes may hold at once: for each activity the most restrictive answer counts. What is queued in one mode and
//!   plain only in another is both.
//! * M3. Slashing evidence, gossip and state queries continue in every mode: nobody escapes by halting the chain, and
//!   halted is not mute.
//! * M4. A soft stall is seen, not ordered: its row says what can be expected of a chain without a quorum, and closes no
//!   gate. Commits are paused because none comes; the one that comes ends the stall. So gates ask for
//!   [`ModeSet::ordered`], displays for the whole set.
//! * M5. Emergency blocks are the matter of DESIGN §7 wherever no halt forbids them: in a soft stall they stay out until its
//!   rule holds, which is a rule of the chain and not of this node's opinion that it is stalled.

use crate::bit_set::bit_set;
use borsh::{BorshDeserialize, BorshSerialize};

/// A reason for which activities are restricted. The position in this list is the tag byte: new ones are appended.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub enum Mode {
    /// This node sees no commits.
    SoftStall,
    /// A proof of contradiction, or a fault of this node's own state.
    HardHalt,
    /// A message of the governors.
    EmergencyHalt,
    /// A vote of the validators.
    Lockdown,
    /// Blocks come from slots: the DAG does not run.
    EmergencyConsensus,
    /// Ceremonies failed too often: encryption is off.
    PartialHalt,
}

impl Mode {
    pub const ALL: [Self; 6] = [
        Self::SoftStall,
        Self::HardHalt,
        Self::EmergencyHalt,
        Self::Lockdown,
        Self::EmergencyConsensus,
        Self::PartialHalt,
    ];

    /// Stable name for RPC, logs and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SoftStall => "soft_stall",
            Self::HardHalt => "hard_halt",
            Self::EmergencyHalt => "emergency_halt",
            Self::Lockdown => "lockdown",
            Self::EmergencyConsensus => "emergency_consensus",
            Self::PartialHalt => "partial_halt",
        }
    }

    /// Stable name as a label of metrics, which say already that it is a halt.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::SoftStall => "soft_stall",
            Self::HardHalt => "hard",
            Self::EmergencyHalt => "emergency",
            Self::Lockdown => "lockdown",
            Self::EmergencyConsensus => "emergency_consensus",
            Self::PartialHalt => "partial",
        }
    }

    /// Rule M4: a condition that this node sees, not an order that it obeys.
    #[must_use]
    pub const fn is_observed(self) -> bool {
        matches!(self, Self::SoftStall)
    }
}

bit_set! {
    /// The modes that hold at once.
    ModeSet of Mode
}

impl ModeSet {
    /// What gates obey: without the modes that are only seen (rule M4).
    #[must_use]
    pub fn ordered(self) -> Self {
        self.iter().filter(|mode| !mode.is_observed()).collect()
    }
}

/// What a node does, or lets others do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Activity {
    VertexProduction,
    Commits,
    TransactionSubmission,
    DecryptionCeremonies,
    DkgCeremonies,
    StateQueries,
    SlashingEvidence,
    Gossip,
    EmergencyBlocks,
}

impl Activity {
    pub const ALL: [Self; 9] = [
        Self::VertexProduction,
        Self::Commits,
        Self::TransactionSubmission,
        Self::DecryptionCeremonies,
        Self::DkgCeremonies,
        Self::StateQueries,
        Self::SlashingEvidence,
        Self::Gossip,
        Self::EmergencyBlocks,
    ];

    /// Stable name for RPC and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::VertexProduction => "vertex_production",
            Self::Commits => "commits",
            Self::TransactionSubmission => "transaction_submission",
            Self::DecryptionCeremonies => "decryption_ceremonies",
            Self::DkgCeremonies => "dkg_ceremonies",
            Self::StateQueries => "state_queries",
            Self::SlashingEvidence => "slashing_evidence",
            Self::Gossip => "gossip",
            Self::EmergencyBlocks => "emergency_blocks",
        }
    }
}

/// How far an activity is restricted: the later in this list, the more.
///
/// The order only ever compares answers of one activity. A ceremony that nothing triggered goes on under
/// `UnlessTriggered`, so it ranks below every answer that stops it. `NoEra` ranks below `Stopped`: who halts a chain in
/// emergency consensus forbids what otherwise only has no place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    Continues,
    /// Goes on for what is not encrypted.
    PlainOnly,
    /// Accepted, and waits.
    Queued,
    /// Accepted if it is not encrypted, and waits: no cell says so, but two together do.
    QueuedPlainOnly,
    /// What runs goes on; what only a trigger starts anew does not start.
    UnlessTriggered,
    /// The rule of DESIGN §7 decides (rule M5).
    ByRule,
    /// Goes on by itself with the next commit.
    Paused,
    /// There is no era of the DAG in which it could happen.
    NoEra,
    /// Forbidden until somebody resumes.
    Stopped,
    /// Refused with an error to whoever asks.
    Rejected,
}

impl Permission {
    pub const ALL: [Self; 10] = [
        Self::Continues,
        Self::PlainOnly,
        Self::Queued,
        Self::QueuedPlainOnly,
        Self::UnlessTriggered,
        Self::ByRule,
        Self::Paused,
        Self::NoEra,
        Self::Stopped,
        Self::Rejected,
    ];

    /// Stable name for RPC and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Continues => "continues",
            Self::PlainOnly => "plain_only",
            Self::Queued => "queued",
            Self::QueuedPlainOnly => "queued_plain_only",
            Self::UnlessTriggered => "unless_triggered",
            Self::ByRule => "by_rule",
            Self::Paused => "paused",
            Self::NoEra => "no_era",
            Self::Stopped => "stopped",
            Self::Rejected => "rejected",
        }
    }

    /// In words, whatever the activity; [`wording`] has the words of one cell.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Continues => "continues",
            Self::PlainOnly => "continues, plain only",
            Self::Queued => "queued",
            Self::QueuedPlainOnly => "queued, plain only",
            Self::UnlessTriggered => "continues unless triggered",
            Self::ByRule => "by §7",
            Self::Paused => "paused",
            Self::NoEra => "no era runs",
            Self::Stopped => "stopped",
            Self::Rejected => "rejected",
        }
    }

    /// Whether a gate lets the activity through; what waits has been let through.
    #[must_use]
    pub const fn allows(self) -> bool {
        match self {
            Self::Continues
            | Self::PlainOnly
            | Self::Queued
            | Self::QueuedPlainOnly
            | Self::UnlessTriggered
            | Self::ByRule => true,
            Self::Paused | Self::NoEra | Self::Stopped | Self::Rejected => false,
        }
    }

    /// The most restrictive of two answers (rule M2).
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::PlainOnly, Self::Queued) | (Self::Queued, Self::PlainOnly) => {
                Self::QueuedPlainOnly
            }
            (one, other) => one.max(other),
        }
    }
}

/// One field of the matrix.
#[derive(Clone, Copy)]
struct Cell {
    permission: Permission,
    wording: &'static str,
}

/// An answer in its usual words.
const fn plain(permission: Permission) -> Cell {
    worded(permission, permission.text())
}

/// An answer in the words that its row asks for.
const fn worded(permission: Permission, wording: &'static str) -> Cell {
    Cell {
        permission,
        wording,
    }
}

/// The matrix (rule M1): one row per activity, in each the modes in their order.
const fn row(activity: Activity) -> [Cell; 6] {
    const CONTINUES: Cell = plain(Permission::Continues);
    const CONTINUE: Cell = worded(Permission::Continues, "continue");
    const STOPS: Cell = worded(Permission::Stopped, "stops");
    const STOPPED: Cell = plain(Permission::Stopped);
    const PAUSED: Cell = plain(Permission::Paused);
    const QUEUED: Cell = plain(Permission::Queued);
    const NO_ERA: Cell = plain(Permission::NoEra);
    match activity {
        Activity::VertexProduction => [CONTINUES, STOPS, STOPS, STOPS, NO_ERA, CONTINUES],
        Activity::Commits => [PAUSED, PAUSED, PAUSED, PAUSED, NO_ERA, CONTINUE],
        Activity::TransactionSubmission => [
            QUEUED,
            QUEUED,
            QUEUED,
            plain(Permission::Rejected),
            CONTINUES,
            plain(Permission::PlainOnly),
        ],
        Activity::DecryptionCeremonies => [PAUSED, STOPPED, STOPPED, STOPPED, PAUSED, STOPPED],
        Activity::DkgCeremonies => [
            worded(Permission::UnlessTriggered, "continue unless triggered"),
            STOPPED,
            STOPPED,
            STOPPED,
            PAUSED,
            worded(Permission::Stopped, "stopped until next epoch"),
        ],
        Activity::StateQueries => [
            CONTINUE,
            worded(Permission::Continues, "continue (forensic)"),
            CONTINUE,
            CONTINUE,
            CONTINUE,
            CONTINUE,
        ],
        Activity::SlashingEvidence | Activity::Gossip => [CONTINUES; 6],
        Activity::EmergencyBlocks => [
            worded(Permission::ByRule, "stopped (until §7 holds)"),
            STOPPED,
            STOPPED,
            STOPPED,
            CONTINUE,
            plain(Permission::ByRule),
        ],
    }
}

const fn cell(activity: Activity, mode: Mode) -> Cell {
    let [
        soft_stall,
        hard_halt,
        emergency_halt,
        lockdown,
        emergency_consensus,
        partial_halt,
    ] = row(activity);
    match mode {
        Mode::SoftStall => soft_stall,
        Mode::HardHalt => hard_halt,
        Mode::EmergencyHalt => emergency_halt,
        Mode::Lockdown => lockdown,
        Mode::EmergencyConsensus => emergency_consensus,
        Mode::PartialHalt => partial_halt,
    }
}

/// What `mode` alone says of `activity`.
#[must_use]
pub const fn permission(activity: Activity, mode: Mode) -> Permission {
    cell(activity, mode).permission
}

/// The same in the words of the design's table.
#[must_use]
pub const fn wording(activity: Activity, mode: Mode) -> &'static str {
    cell(activity, mode).wording
}

/// What all modes together say of `activity`: the most restrictive answer (rule M2). The empty set restricts nothing.
#[must_use]
pub fn permission_in(activity: Activity, modes: ModeSet) -> Permission {
    modes
        .iter()
        .map(|mode| permission(activity, mode))
        .fold(Permission::Continues, Permission::and)
}

/// The matrix as a table for `docs/halts.md`.
#[must_use]
pub fn render_markdown() -> String {
    let in_words = |name: &str| name.replace('_', " ");
    let heads: Vec<String> = Mode::ALL.map(|mode| in_words(mode.name())).into();
    let mut table = format!(
        "| activity | {} |\n|---|{}\n",
        heads.join(" | "),
        "---|".repeat(heads.len())
    );
    for activity in Activity::ALL {
        let cells = Mode::ALL.map(|mode| wording(activity, mode));
        let name = match activity {
            Activity::DkgCeremonies => "DKG ceremonies".to_owned(),
            other => in_words(other.name()),
        };
        table.push_str(&format!("| {name} | {} |\n", cells.join(" | ")));
    }
    table
}
