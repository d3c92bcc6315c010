//! Consensus parameters (DESIGN §15). The `genesis` crate parses, relates and defaults them; a [`Parameters`] that
//! reached consensus has passed `validate` there.

use crate::account::{AccountName, Amount};
use crate::crypto::PublicKey;
use crate::transaction::ChainProperties;
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

macro_rules! parameter_structs {
    ($($(#[$doc:meta])* pub struct $name:ident { $($(#[$field_doc:meta])* pub $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

            #[cfg(any(test, feature = "test-utils"))]
            impl crate::test_util::Sample for $name {
                fn sample(sampler: &mut crate::test_util::Sampler) -> Self {
                    Self { $($field: crate::test_util::Sample::sample(sampler),)* }
                }
            }
        )*
    };
}

parameter_structs! {
    /// All consensus parameters. They are part of the genesis document and so of the chain id.
    pub struct Parameters {
        /// Validator slots: the largest committee.
        pub max_validators: u16,
        /// Length of an epoch in ms of block time; also the rollback window.
        pub epoch_duration_ms: u64,
        /// Most reversible blocks that the fork database keeps.
        pub fork_db_max: u32,
        /// Whether drills may make validators misbehave; on test chains only.
        pub fault_injection_allowed: bool,
        pub dag: DagParameters,
        pub stall: StallParameters,
        pub halt: HaltParameters,
        pub emergency: EmergencyParameters,
        pub lockdown: LockdownParameters,
        pub governance: GovernanceParameters,
        pub staking: StakingParameters,
        pub slashing: SlashingParameters,
        pub ceremony: CeremonyParameters,
        /// Chain properties until validators vote.
        pub properties: ChainProperties,
    }

    /// The DAG and its pacing.
    pub struct DagParameters {
        /// A round is never faster than this, in ms.
        pub min_round_interval_ms: u64,
        /// Pace while nothing waits anywhere, in ms.
        pub idle_round_interval_ms: u64,
        /// How long a proposer waits for the leader of the round before, in ms.
        pub leader_timeout_ms: u64,
        /// Leader slots in every round.
        pub leaders_per_round: u16,
        /// Rounds below a committed leader after which uncommitted vertices are dropped.
        pub gc_depth: u64,
        /// A vertex dated further ahead of the local clock than this is parked, in ms.
        pub max_clock_drift_ms: u64,
    }

    /// Soft stall (document 001).
    pub struct StallParameters {
        /// No commit for this long is a stall, in ms.
        pub timeout_ms: u64,
        /// No commit for this many rounds is a stall; also K, the rounds checked for certified vertices.
        pub rounds: u64,
        /// A stall this long escalates, in ms.
        pub escalation_ms: u64,
    }

    /// Hard and emergency halts (document 001).
    pub struct HaltParameters {
        /// Equivocators in one epoch that halt the chain; f + 1 of the committee if that is less.
        pub equivocation_cluster: u16,
        /// Signers of a contradicting root that halt the chain.
        pub root_divergence_min_dissenters: u16,
        /// Longest emergency halt, in ms.
        pub emergency_halt_max_ms: u64,
    }

    /// Emergency consensus (document 002).
    pub struct EmergencyParameters {
        /// LIB this far behind a block's own timestamp activates emergency consensus, in ms.
        pub timeout_ms: u64,
        /// Account that produces emergency blocks.
        pub validator_account: AccountName,
        pub validator_public_key: PublicKey,
        /// Blocks looked back on for distinct real producers at exit.
        pub exit_normal_blocks: u32,
        /// Share of slots that real validators must hold at exit, in percent, rounded down to slots.
        pub exit_threshold_percent: u8,
        /// Blocks in a row by one producer after which LIB may follow it.
        pub irreversible_support_min_run: u32,
        /// Length of a slot, in ms.
        pub block_interval_ms: u64,
    }

    /// Cluster lockdown (document 000).
    pub struct LockdownParameters {
        /// Older votes are rejected, in ms.
        pub vote_max_age_ms: u64,
        /// Votes dated further ahead are rejected, in ms.
        pub vote_max_ahead_ms: u64,
        /// Quorum as an exact fraction of the committee.
        pub quorum_numerator: u32,
        pub quorum_denominator: u32,
        /// A recovery vote that takes longer raises an escalation alert, in ms.
        pub recovery_timeout_ms: u64,
    }

    /// Governance multisignature (document 001).
    pub struct GovernanceParameters {
        pub keys: Vec<PublicKey>,
        /// Signatures needed.
        pub threshold: u16,
    }

    /// Stake and bonding.
    pub struct StakingParameters {
        /// Least stake of a validator in the committee, in base units.
        pub min_validator_stake: Amount,
        /// Time from unstaking to the return of the amount, in ms of live time.
        pub unbonding_ms: u64,
        /// Most unbondings in progress per account.
        pub unbondings_max: u16,
    }

    /// Offences and what they cost (DESIGN §10); shares in basis points of the stake.
    pub struct SlashingParameters {
        pub equivocation_basis_points: u16,
        pub equivocation_max_basis_points: u16,
        pub bad_root_basis_points: u16,
        pub bad_root_max_basis_points: u16,
        pub bad_attestation_basis_points: u16,
        pub invalid_vertex_basis_points: u16,
        pub downtime_basis_points_per_round: u16,
        pub downtime_max_basis_points_per_epoch: u16,
        pub dkg_failure_basis_points: u16,
        pub escrow_ms: u64,
        pub jail_first_ms: u64,
        pub jail_second_ms: u64,
        pub evidence_max_age_ms: u64,
        pub reporter_basis_points: u16,
        pub treasury_basis_points: u16,
        pub reports_per_epoch_max: u16,
    }

    /// Distributed key generation (DESIGN §11).
    pub struct CeremonyParameters {
        /// Failed ceremonies in a row after which encryption is switched off for the epoch.
        pub dkg_max_failures: u16,
    }
}
