//! Every metric: name, kind, labels with their values, help. Code, `docs/metrics.md` and the tests read this table.
//!
//! Names are `holdfast_<area>_<what>_<unit>`; counters end in `_total`; durations are in seconds, sizes in bytes.

use crate::codes::ErrorCode;
use crate::dto::SubscriptionKind;
use crate::methods::METHOD_NAMES;

/// The value of a label for everything that its list does not name.
pub const OTHER: &str = "other";

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct MetricSpec {
    /// Name in the text format.
    pub name: &'static str,
    /// Gauge, counter or histogram.
    pub kind: Kind,
    /// Labels with their values.
    pub labels: &'static [Label],
    /// What it says, in which unit.
    pub help: &'static str,
}

/// A label and its values; besides these there is [`OTHER`].
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// Name of the label.
    pub name: &'static str,
    /// The values.
    pub values: &'static [&'static str],
}

/// Kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only goes up.
    Counter,
    /// Counts observations in buckets with these upper bounds.
    Histogram(&'static [f64]),
}

const GAUGE: Kind = Kind::Gauge;
const COUNTER: Kind = Kind::Counter;
/// For finality and commits: resolves 50 ms to minutes.
const LATENCY: Kind = Kind::Histogram(&[
    0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0, 60.0,
]);
/// From a signal to the halt: resolves milliseconds to a minute.
const DETECTION: Kind = Kind::Histogram(&[
    0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 6.0, 10.0, 60.0,
]);
/// For work inside the node: resolves 50 µs to seconds.
const WORK: Kind = Kind::Histogram(&[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
    5.0,
]);

const HALT_KIND: Label = Label {
    name: "kind",
    values: &[
        "soft_stall",
        "hard",
        "emergency",
        "lockdown",
        "emergency_consensus",
        "partial",
    ],
};
const ALERT_OUTCOME: Label = Label {
    name: "outcome",
    values: &["sent", "failed"],
};
const RISK_RULE: Label = Label {
    name: "rule",
    values: &[
        "equivocators_permille",
        "contradictors_permille",
        "evidence",
        "invalid_messages",
        "clock_offset_permille",
        "members_missing_permille",
        "commit_delay_permille",
        "disk_runway_seconds",
        "memory_permille",
    ],
};
const BUNDLE_OUTCOME: Label = Label {
    name: "outcome",
    values: &["complete", "partial", "failed"],
};
const STATUS: Label = Label {
    name: "status",
    values: &["success", "failed"],
};
const PEER_CLASS: Label = Label {
    name: "class",
    values: &["committee", "configured"],
};
const TOPIC: Label = Label {
    name: "topic",
    values: &[
        "vertices",
        "attestations",
        "transactions",
        "evidence",
        "lockdown",
        "governance",
        "halt",
        "emergency_blocks",
        "fetch",
        "sync",
    ],
};
const DIRECTION: Label = Label {
    name: "direction",
    values: &["in", "out"],
};
const PEER_FAULT: Label = Label {
    name: "reason",
    values: &[
        "invalid_message",
        "invalid_response",
        "oversized",
        "malformed_frame",
        "rate_exceeded",
        "useless_message",
        "request_flood",
        "gossip_score",
        "unresponsive",
        "proven",
    ],
};
const MEMPOOL_REJECTION: Label = Label {
    name: "reason",
    values: &[
        "malformed",
        "bad_signature",
        "nonce",
        "balance",
        "fee",
        "expired",
        "full",
        "duplicate",
        "halted",
    ],
};
const SIGN_PURPOSE: Label = Label {
    name: "purpose",
    values: &["vertex", "attestation"],
};
const SIGN_REFUSAL: Label = Label {
    name: "reason",
    values: &["guard", "doppelganger"],
};
const SIGN_STATE: Label = Label {
    name: "state",
    values: &["active", "disabled", "refused"],
};
const PRODUCTION_REFUSAL: Label = Label {
    name: "reason",
    values: &[
        "no_key",
        "halted",
        "not_signing",
        "sync_first",
        "not_begun",
        "not_scheduled",
        "slot_taken",
        "minority_fork",
        "outranked",
    ],
};
const EMERGENCY_PHASES: Label = Label {
    name: "phase",
    values: &[
        "unavailable",
        "blocked",
        "idle",
        "armed",
        "due",
        "active",
        "exit_pending",
        "certifying",
    ],
};
const COLUMN: Label = Label {
    name: "column",
    values: &[
        "blocks",
        "block_index",
        "fork_blocks",
        "state",
        "state_tree",
        "undo",
        "vertices",
        "commits",
        "certificates",
        "transactions",
        "mempool",
        "evidence",
        "halts",
        "governance",
        "ceremony",
        "recorder",
        "meta",
    ],
};
const OFFENCE: Label = Label {
    name: "offence",
    values: &["equivocation", "contradictory_attestations"],
};
const METHOD: Label = Label {
    name: "method",
    values: METHOD_NAMES,
};
/// Besides the error codes: `OK`.
const CODE: Label = Label {
    name: "code",
    values: CODE_VALUES,
};
const REFUSAL: Label = Label {
    name: "reason",
    values: &[
        "host",
        "origin",
        "content_type",
        "body_too_large",
        "body_timeout",
        "malformed",
        "rate",
        "memory",
        "connections",
        "websockets",
    ],
};
const SUBSCRIPTION: Label = Label {
    name: "kind",
    values: &SubscriptionKind::NAMES,
};

const CODE_COUNT: usize = ErrorCode::NAMES.len() + 1;
const CODE_VALUES: &[&str] = &{
    let mut values = ["OK"; CODE_COUNT];
    let mut index = 0;
    while index < ErrorCode::NAMES.len() {
        values[index + 1] = ErrorCode::NAMES[index];
        index += 1;
    }
    values
};

macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal [$($label:ident),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: MetricSpec =
                MetricSpec { name: $name, kind: $kind, labels: &[$($label),*], help: $help };
        )*

        /// Every metric of the node, in the order of the reference.
        pub const ALL: &[MetricSpec] = &[$($constant),*];
    };
}

metrics! {
    BUILD_INFO = GAUGE "holdfast_build_info" []
        "Always 1; the labels version and commit say what runs.";

    CHAIN_HEAD_HEIGHT = GAUGE "holdfast_chain_head_height" []
        "Height of the newest block that this node has executed.";
    CHAIN_LIB_HEIGHT = GAUGE "holdfast_chain_lib_height" []
        "Height of the last irreversible block as the chain records it.";
    CHAIN_CERTIFIED_HEIGHT = GAUGE "holdfast_chain_certified_height" []
        "Height of the newest block with a certificate.";
    CHAIN_ERA = GAUGE "holdfast_chain_era" []
        "Number of the running era.";
    CHAIN_EPOCH = GAUGE "holdfast_chain_epoch" []
        "Number of the running epoch.";
    CHAIN_BLOCKS = COUNTER "holdfast_chain_blocks_total" []
        "Blocks executed since the start of the process.";
    CHAIN_TRANSACTIONS = COUNTER "holdfast_chain_transactions_total" [STATUS]
        "Transactions executed since the start of the process.";
    CHAIN_FINALITY = LATENCY "holdfast_chain_finality_seconds" []
        "Time from the acceptance of a transaction by this node until it is irreversible.";
    CHAIN_COMMIT = LATENCY "holdfast_chain_commit_seconds" []
        "Time from the acceptance of a transaction by this node until a block has executed it.";
    CHAIN_FORK_BLOCKS = GAUGE "holdfast_chain_fork_blocks" []
        "Reversible blocks in the fork database.";
    CHAIN_FORK_SWITCHES = COUNTER "holdfast_chain_fork_switches_total" []
        "Switches to another branch.";

    CONSENSUS_ROUND = GAUGE "holdfast_consensus_round" []
        "Newest round of the DAG in the running era.";
    CONSENSUS_COMMITTED_ROUND = GAUGE "holdfast_consensus_committed_round" []
        "Round of the last committed leader.";
    CONSENSUS_COMMITS = COUNTER "holdfast_consensus_commits_total" []
        "Commits of the DAG.";
    CONSENSUS_LEADERS_SKIPPED = COUNTER "holdfast_consensus_leaders_skipped_total" []
        "Rounds whose leader was passed over.";
    CONSENSUS_VERTICES = COUNTER "holdfast_consensus_vertices_total" []
        "Vertices accepted into the DAG.";
    CONSENSUS_VERTICES_PENDING = GAUGE "holdfast_consensus_vertices_pending" []
        "Vertices that wait for missing ancestors.";
    CONSENSUS_COMMITTEE_SIZE = GAUGE "holdfast_consensus_committee_size" []
        "Members of the running committee.";
    CONSENSUS_QUORUM = GAUGE "holdfast_consensus_quorum" []
        "Members that make a quorum.";
    CONSENSUS_AUTHORITY = GAUGE "holdfast_consensus_authority" []
        "Position of this validator in the running committee; -1 if it is no member.";
    CONSENSUS_EVIDENCE = COUNTER "holdfast_consensus_evidence_total" [OFFENCE]
        "Pieces of evidence verified.";
    CONSENSUS_EVIDENCE_PENDING = GAUGE "holdfast_consensus_evidence_pending" []
        "Pieces of evidence that no block contains yet.";
    CONSENSUS_CLOCK_SKEW = GAUGE "holdfast_consensus_clock_skew_seconds" []
        "This machine's clock minus the median of the committee's, in seconds.";

    ACTIVE_COMMITTEE = GAUGE "holdfast_active_committee" []
        "Members of the committee whose vertices were seen in the last rounds.";
    CERTIFIED_VERTICES = GAUGE "holdfast_certified_vertices" []
        "Certified vertices in the last complete round.";
    SECONDS_SINCE_COMMIT = GAUGE "holdfast_seconds_since_commit" []
        "Time since the last commit, in seconds.";
    SECONDS_SINCE_LIB = GAUGE "holdfast_seconds_since_lib" []
        "Time since LIB last moved, in seconds.";
    STALL_SECONDS = COUNTER "holdfast_stall_seconds_total" []
        "Time spent in soft stall, in seconds.";
    HALT_ACTIVE = GAUGE "holdfast_halt_active" [HALT_KIND]
        "1 while a halt of this kind is in force, else 0.";
    HALTS = COUNTER "holdfast_halts_total" [HALT_KIND]
        "Halts entered.";
    FORENSIC_BUNDLES = COUNTER "holdfast_forensic_bundles_total" [BUNDLE_OUTCOME]
        "Forensic bundles written at halts, by what became of them.";
    HALT_DETECT = DETECTION "holdfast_halt_detect_seconds" [HALT_KIND]
        "Time to detect. Soft stall: from the last commit until it was noticed. Halts: from the moment in which the core thread took up the message that halts until the halt was durable.";
    GOVERNANCE_SEQUENCE = GAUGE "holdfast_governance_sequence" []
        "Highest sequence number of a governance message that was accepted here.";
    READY_VALIDATORS = GAUGE "holdfast_ready_validators" []
        "Validators that say they are ready for the era after a halt; 0 while nobody resumes.";

    ALERTS = COUNTER "holdfast_alerts_total" [ALERT_OUTCOME]
        "Messages to alerts.webhook, by what became of them. One that failed is tried again.";
    RISK_LEVEL = GAUGE "holdfast_risk_level" []
        "The highest level of the rules of the risk analyzer: 0 normal, 1 elevated, 2 high, 3 critical.";
    RISK_RULE_LEVEL = GAUGE "holdfast_risk_rule_level" [RISK_RULE]
        "The level of one rule of the risk analyzer, as node_getRisk names it: 0 normal, 1 elevated, 2 high, 3 critical.";

    EMERGENCY_PHASE = GAUGE "holdfast_emergency_phase" [EMERGENCY_PHASES]
        "1 for the phase of emergency consensus, as emergency_getStatus names it, else 0.";
    EMERGENCY_SLOTS = GAUGE "holdfast_emergency_slots_held" []
        "Validators that hold slots of the running round and could be in a committee; 0 while no emergency is active.";
    EMERGENCY_SLOTS_NEEDED = GAUGE "holdfast_emergency_slots_needed" []
        "Slots that validators must hold at the end of an emergency; 0 while none is active.";
    EMERGENCY_PRODUCING = GAUGE "holdfast_emergency_validators_producing" []
        "Validators with a slot that have made one of the last blocks; 0 while no emergency is active.";
    EMERGENCY_PRODUCING_NEEDED = GAUGE "holdfast_emergency_validators_producing_needed" []
        "Validators that must have done so at the end of an emergency; 0 while none is active.";
    EMERGENCY_BLOCKS = COUNTER "holdfast_emergency_blocks_produced_total" []
        "Emergency blocks that this node has made.";
    EMERGENCY_REFUSAL = GAUGE "holdfast_emergency_refusal" [PRODUCTION_REFUSAL]
        "1 for the reason why the last turn of this node as a producer led to no block, else 0.";
    EMERGENCY_OVERDUE = GAUGE "holdfast_emergency_producer_overdue" []
        "1 while this node has the emergency key and slots pass without a block, else 0.";
    EMERGENCY_ACTIVATION = GAUGE "holdfast_emergency_seconds_to_activation" []
        "Time until emergency consensus can begin if nothing becomes irreversible, in seconds; 0 while it is active or can begin.";

    MEMPOOL_TRANSACTIONS = GAUGE "holdfast_mempool_transactions" []
        "Transactions queued on this node.";
    MEMPOOL_BYTES = GAUGE "holdfast_mempool_bytes" []
        "Size of the transactions queued on this node, in bytes.";
    MEMPOOL_ACCEPTED = COUNTER "holdfast_mempool_accepted_total" []
        "Transactions accepted into the queue.";
    MEMPOOL_REJECTED = COUNTER "holdfast_mempool_rejected_total" [MEMPOOL_REJECTION]
        "Transactions refused by the queue.";

    NETWORK_PEERS = GAUGE "holdfast_network_peers" [PEER_CLASS]
        "Connected peers.";
    NETWORK_MESSAGES = COUNTER "holdfast_network_messages_total" [TOPIC, DIRECTION]
        "Messages of gossip topics and of the request protocols fetch and sync.";
    NETWORK_BYTES = COUNTER "holdfast_network_bytes_total" [TOPIC, DIRECTION]
        "Size of these messages, in bytes.";
    NETWORK_PEER_FAULTS = COUNTER "holdfast_network_peer_faults_total" [PEER_FAULT]
        "Penalties given to peers.";
    NETWORK_DISCONNECTS = COUNTER "holdfast_network_disconnects_total" []
        "Connections to peers that ended.";
    NETWORK_BANS = COUNTER "holdfast_network_bans_total" []
        "Bans of peers that began. Every ban ends by itself.";

    SYNC_TARGET_HEIGHT = GAUGE "holdfast_sync_target_height" []
        "Highest certified block that peers have shown; 0 when caught up.";
    SYNC_BLOCKS_PER_SECOND = GAUGE "holdfast_sync_blocks_per_second" []
        "Blocks applied per second while catching up, in the last range.";

    STORAGE_COLUMN_BYTES = GAUGE "holdfast_storage_column_bytes" [COLUMN]
        "Size of a RocksDB column family on disk, in bytes.";
    STORAGE_MEMORY_BYTES = GAUGE "holdfast_storage_memory_bytes" []
        "Memory of RocksDB: memtables, block cache, table readers, in bytes.";
    STORAGE_WRITE = WORK "holdfast_storage_write_seconds" []
        "Time of one synced write batch.";
    STORAGE_DISK_FREE_BYTES = GAUGE "holdfast_storage_disk_free_bytes" []
        "Free space on the disk of the data directory, in bytes.";

    SIGNING_STATE = GAUGE "holdfast_signing_state" [SIGN_STATE]
        "1 for the state that this validator's signing is in, else 0.";
    SIGNATURES = COUNTER "holdfast_signatures_total" [SIGN_PURPOSE]
        "Signatures made.";
    SIGN_REFUSED = COUNTER "holdfast_sign_refused_total" [SIGN_REFUSAL]
        "Signatures refused by the sign guard or because signing has stopped.";

    CORE_STEP = WORK "holdfast_core_step_seconds" []
        "Time of the core thread for one batch of commands, with its writes.";
    CORE_EXECUTION = WORK "holdfast_core_execution_seconds" []
        "Time to execute one block.";
    CORE_VERIFICATION_QUEUE = GAUGE "holdfast_core_verification_queue_messages" []
        "Messages that wait for the verification pool.";

    RPC_CALLS = COUNTER "holdfast_rpc_calls_total" [METHOD, CODE]
        "Calls answered, by method and by `OK` or the name of the error code.";
    RPC_CALL_SECONDS = WORK "holdfast_rpc_call_seconds" [METHOD]
        "Time to answer a call, waits that it asked for included.";
    RPC_REFUSED = COUNTER "holdfast_rpc_refused_total" [REFUSAL]
        "HTTP requests and connections refused before any call was read.";
    RPC_CONNECTIONS = GAUGE "holdfast_rpc_connections" []
        "Open TCP connections.";
    RPC_WEBSOCKETS = GAUGE "holdfast_rpc_websockets" []
        "Open WebSocket connections.";
    RPC_SUBSCRIPTIONS = GAUGE "holdfast_rpc_subscriptions" [SUBSCRIPTION]
        "Running subscriptions.";
    RPC_SUBSCRIPTION_GAPS = COUNTER "holdfast_rpc_subscription_gaps_total" [SUBSCRIPTION]
        "Gap messages sent to subscribers.";
}

/// Metrics of the process itself, which the Prometheus library names.
pub const PROCESS: &[(&str, &str)] = &[
    ("process_cpu_seconds_total", "Processor time, in seconds."),
    ("process_max_fds", "Limit of open files."),
    ("process_open_fds", "Open files."),
    (
        "process_resident_memory_bytes",
        "Resident memory, in bytes.",
    ),
    (
        "process_start_time_seconds",
        "Start of the process, in seconds since 1970-01-01 UTC.",
    ),
    ("process_threads", "Threads."),
    ("process_virtual_memory_bytes", "Virtual memory, in bytes."),
];
