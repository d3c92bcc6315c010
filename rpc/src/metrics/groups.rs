//! The metrics that the node sets, by area. [`super::names`] says what each means.

use super::labelled::{Labelled, LabelledPair};
use super::{Registrar, names};
use prometheus::{Counter, Gauge, Histogram, IntCounter, IntGauge};

macro_rules! groups {
    ($(
        $(#[doc = $doc:literal])*
        $group:ident { $($field:ident: $type:ty = $make:ident($spec:ident),)* }
    )*) => {
        $(
            $(#[doc = $doc])*
            #[derive(Debug)]
            pub struct $group {
                $(
                    #[doc = concat!("[`names::", stringify!($spec), "`]")]
                    pub $field: $type,
                )*
            }

            impl $group {
                pub(super) fn new(registrar: &Registrar) -> Self {
                    Self { $($field: registrar.$make(&names::$spec),)* }
                }
            }
        )*
    };
}

groups! {
    /// The chain: heights, eras, blocks, finality.
    ChainMetrics {
        head_height: IntGauge = int_gauge(CHAIN_HEAD_HEIGHT),
        lib_height: IntGauge = int_gauge(CHAIN_LIB_HEIGHT),
        certified_height: IntGauge = int_gauge(CHAIN_CERTIFIED_HEIGHT),
        era: IntGauge = int_gauge(CHAIN_ERA),
        epoch: IntGauge = int_gauge(CHAIN_EPOCH),
        blocks: IntCounter = int_counter(CHAIN_BLOCKS),
        transactions: Labelled<IntCounter> = labelled_counter(CHAIN_TRANSACTIONS),
        finality_seconds: Histogram = histogram(CHAIN_FINALITY),
        commit_seconds: Histogram = histogram(CHAIN_COMMIT),
        fork_blocks: IntGauge = int_gauge(CHAIN_FORK_BLOCKS),
        fork_switches: IntCounter = int_counter(CHAIN_FORK_SWITCHES),
    }

    /// The DAG and the commit rule.
    ConsensusMetrics {
        round: IntGauge = int_gauge(CONSENSUS_ROUND),
        committed_round: IntGauge = int_gauge(CONSENSUS_COMMITTED_ROUND),
        commits: IntCounter = int_counter(CONSENSUS_COMMITS),
        leaders_skipped: IntCounter = int_counter(CONSENSUS_LEADERS_SKIPPED),
        vertices: IntCounter = int_counter(CONSENSUS_VERTICES),
        vertices_pending: IntGauge = int_gauge(CONSENSUS_VERTICES_PENDING),
        committee_size: IntGauge = int_gauge(CONSENSUS_COMMITTEE_SIZE),
        quorum: IntGauge = int_gauge(CONSENSUS_QUORUM),
        authority: IntGauge = int_gauge(CONSENSUS_AUTHORITY),
        evidence: Labelled<IntCounter> = labelled_counter(CONSENSUS_EVIDENCE),
        evidence_pending: IntGauge = int_gauge(CONSENSUS_EVIDENCE_PENDING),
        clock_skew_seconds: Gauge = gauge(CONSENSUS_CLOCK_SKEW),
    }

    /// Stalls and halts.
    HaltMetrics {
        active_committee: IntGauge = int_gauge(ACTIVE_COMMITTEE),
        certified_vertices: IntGauge = int_gauge(CERTIFIED_VERTICES),
        seconds_since_commit: Gauge = gauge(SECONDS_SINCE_COMMIT),
        seconds_since_lib: Gauge = gauge(SECONDS_SINCE_LIB),
        stall_seconds: Counter = counter(STALL_SECONDS),
        active: Labelled<IntGauge> = labelled_gauge(HALT_ACTIVE),
        entered: Labelled<IntCounter> = labelled_counter(HALTS),
        bundles: Labelled<IntCounter> = labelled_counter(FORENSIC_BUNDLES),
        detect_seconds: Labelled<Histogram> = labelled_histogram(HALT_DETECT),
        governance_sequence: IntGauge = int_gauge(GOVERNANCE_SEQUENCE),
        ready_validators: IntGauge = int_gauge(READY_VALIDATORS),
        alerts: Labelled<IntCounter> = labelled_counter(ALERTS),
        risk_level: IntGauge = int_gauge(RISK_LEVEL),
        risk_rule_level: Labelled<IntGauge> = labelled_gauge(RISK_RULE_LEVEL),
    }

    /// Emergency consensus.
    EmergencyMetrics {
        phase: Labelled<IntGauge> = labelled_gauge(EMERGENCY_PHASE),
        slots_held: IntGauge = int_gauge(EMERGENCY_SLOTS),
        slots_needed: IntGauge = int_gauge(EMERGENCY_SLOTS_NEEDED),
        validators_producing: IntGauge = int_gauge(EMERGENCY_PRODUCING),
        validators_producing_needed: IntGauge = int_gauge(EMERGENCY_PRODUCING_NEEDED),
        blocks_produced: IntCounter = int_counter(EMERGENCY_BLOCKS),
        refusal: Labelled<IntGauge> = labelled_gauge(EMERGENCY_REFUSAL),
        producer_overdue: IntGauge = int_gauge(EMERGENCY_OVERDUE),
        seconds_to_activation: Gauge = gauge(EMERGENCY_ACTIVATION),
    }

    /// Transactions that wait.
    MempoolMetrics {
        transactions: IntGauge = int_gauge(MEMPOOL_TRANSACTIONS),
        bytes: IntGauge = int_gauge(MEMPOOL_BYTES),
        accepted: IntCounter = int_counter(MEMPOOL_ACCEPTED),
        rejected: Labelled<IntCounter> = labelled_counter(MEMPOOL_REJECTED),
    }

    /// Peers and messages.
    NetworkMetrics {
        peers: Labelled<IntGauge> = labelled_gauge(NETWORK_PEERS),
        messages: LabelledPair<IntCounter> = counter_pair(NETWORK_MESSAGES),
        bytes: LabelledPair<IntCounter> = counter_pair(NETWORK_BYTES),
        peer_faults: Labelled<IntCounter> = labelled_counter(NETWORK_PEER_FAULTS),
        disconnects: IntCounter = int_counter(NETWORK_DISCONNECTS),
        bans: IntCounter = int_counter(NETWORK_BANS),
    }

    /// Catching up.
    SyncMetrics {
        target_height: IntGauge = int_gauge(SYNC_TARGET_HEIGHT),
        blocks_per_second: Gauge = gauge(SYNC_BLOCKS_PER_SECOND),
    }

    /// RocksDB and the disk.
    StorageMetrics {
        column_bytes: Labelled<IntGauge> = labelled_gauge(STORAGE_COLUMN_BYTES),
        memory_bytes: IntGauge = int_gauge(STORAGE_MEMORY_BYTES),
        write_seconds: Histogram = histogram(STORAGE_WRITE),
        disk_free_bytes: IntGauge = int_gauge(STORAGE_DISK_FREE_BYTES),
    }

    /// Signatures of this validator.
    SigningMetrics {
        state: Labelled<IntGauge> = labelled_gauge(SIGNING_STATE),
        signatures: Labelled<IntCounter> = labelled_counter(SIGNATURES),
        refused: Labelled<IntCounter> = labelled_counter(SIGN_REFUSED),
    }

    /// The core thread, execution and verification.
    CoreMetrics {
        step_seconds: Histogram = histogram(CORE_STEP),
        execution_seconds: Histogram = histogram(CORE_EXECUTION),
        verification_queue_messages: IntGauge = int_gauge(CORE_VERIFICATION_QUEUE),
    }
}
