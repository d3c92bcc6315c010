//! The shape of the files of a bundle. Hashes are hexadecimal, times are milliseconds since 1970, fields are only added.

use serde::{Deserialize, Serialize};

/// Raised when a field changes its meaning.
pub const FORMAT: u32 = 1;

macro_rules! records {
    ($($(#[$doc:meta])* pub struct $name:ident { $($(#[$field_doc:meta])* pub $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
            #[serde(default)]
            pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }
        )*
    };
}

records! {
    /// `halt.json`
    pub struct HaltRecord {
        pub format: u32,
        pub halt: String,
        /// `hard_halt` or `emergency_halt`.
        pub mode: String,
        /// None: governance ordered it.
        pub cause: Option<String>,
        /// One sentence for a person.
        pub what: String,
        /// By the wall clock of this node.
        pub began_ms: u64,
        pub preserved_ms: u64,
        /// The node was started in the halt: what only its memory knew was lost with the process before.
        pub after_restart: bool,
        pub chain: String,
        pub chain_name: String,
        pub era: u64,
        pub committee: Vec<MemberRecord>,
        /// This node in the committee.
        pub authority: Option<u16>,
        pub head: PointRecord,
        pub head_timestamp_ms: u64,
        pub state_root: String,
        pub certified: PointRecord,
        pub irreversible: u64,
        pub round: u64,
        /// Everything that holds.
        pub modes: Vec<String>,
        pub versions: VersionRecord,
        pub thresholds: ThresholdRecord,
        pub stall: Option<StallRecord>,
        /// Offences whose evidence waits to be executed.
        pub evidence: Vec<OffenceRecord>,
        pub recorder: RecorderRecord,
        /// What could not be preserved, and why.
        pub problems: Vec<ProblemRecord>,
    }

    pub struct MemberRecord {
        pub authority: u16,
        pub account: String,
        pub signing_key: String,
    }

    /// A block.
    pub struct PointRecord {
        pub height: u64,
        pub id: String,
    }

    pub struct VersionRecord {
        pub software: String,
        pub commit: String,
        pub database_format: u32,
        pub operating_system: String,
    }

    pub struct ThresholdRecord {
        pub quorum: u64,
        pub faulty_max: u64,
        pub dissenters: u64,
        pub equivocators: u64,
    }

    /// The soft stall that held at the time.
    pub struct StallRecord {
        pub lasted_ms: u64,
        pub reasons: Vec<String>,
        pub escalated: bool,
    }

    pub struct OffenceRecord {
        pub offence: String,
        pub authority: u16,
        pub account: String,
        pub era: u64,
        /// Round or height, as the offence has it.
        pub at: u64,
        /// The two statements, in words.
        pub statements: Vec<String>,
    }

    pub struct RecorderRecord {
        pub entries: u64,
        /// Entries that had gone before.
        pub forgotten: u64,
        /// Time of the oldest entry.
        pub from_ms: u64,
    }

    pub struct ProblemRecord {
        pub file: String,
        pub reason: String,
    }

    /// `proof.json`: why the chain stopped, and who says so.
    pub struct ProofRecord {
        /// `divergence`, `equivocation_cluster`, `contradictory_certificates`, `governance`, `own_fault`.
        pub kind: String,
        pub era: u64,
        pub height: Option<u64>,
        /// What each has signed: of a divergence and of certificates.
        pub statements: Vec<StatementRecord>,
        /// Of a cluster.
        pub offences: Vec<OffenceRecord>,
        /// Of governance.
        pub order: Option<OrderRecord>,
        /// Of this node alone.
        pub detail: Option<String>,
    }

    /// One result of a block, and who has signed it.
    pub struct StatementRecord {
        pub block: String,
        pub commit: String,
        pub state_root: String,
        pub signers: Vec<MemberRecord>,
    }

    pub struct OrderRecord {
        pub message: String,
        pub sequence: u64,
        pub reason: String,
        pub until_ms: u64,
        pub after_height: Option<u64>,
        /// Positions of the governors that signed.
        pub signers: Vec<u16>,
    }

    /// `journal.json`
    pub struct JournalRecord {
        /// Whether each entry names the hash of the one before; of a journal that does not begin with entry 0, from its
        /// second entry on.
        pub unbroken: bool,
        pub last_hash: String,
        pub entries: Vec<JournalLine>,
    }

    pub struct JournalLine {
        pub index: u64,
        pub hash: String,
        pub at_ms: u64,
        pub era: u64,
        pub head: u64,
        pub event: String,
        /// The rest of the event, in words.
        pub detail: String,
    }

    /// `peers.json`
    pub struct PeersRecord {
        /// What validators say of themselves, this node included.
        pub statuses: Vec<StatusRecord>,
        /// Members that have said nothing.
        pub silent: Vec<MemberRecord>,
        pub connections: Vec<ConnectionRecord>,
    }

    pub struct StatusRecord {
        pub authority: u16,
        pub account: String,
        pub at_ms: u64,
        pub head: PointRecord,
        pub state_root: String,
        pub certified: u64,
        pub attested: u64,
        pub version: String,
        pub halts: Vec<String>,
        pub own_fault: Option<String>,
        pub readiness: String,
    }

    pub struct ConnectionRecord {
        pub peer: String,
        /// The validator that it has proved to be.
        pub account: Option<String>,
        pub signing_key: Option<String>,
    }

    /// `config.json`. No setting holds a secret: keys and passwords are in files that are named and not read.
    pub struct ConfigRecord {
        pub chain: String,
        pub parameters: String,
        /// Every setting with its value and where it comes from.
        pub settings: serde_json::Value,
    }

    /// `manifest.json`
    pub struct ManifestRecord {
        pub format: u32,
        pub halt: String,
        pub written_ms: u64,
        pub files: Vec<FileRecord>,
        pub problems: Vec<ProblemRecord>,
    }

    pub struct FileRecord {
        /// Below the bundle, with `/`.
        pub path: String,
        pub bytes: u64,
        pub blake3: String,
    }
}
