//! Parameters for tests of execution: short times, small amounts.

use super::{CHAIN, key_pair};
use crate::parameters::{
    CeremonyParameters, DagParameters, EmergencyParameters, GovernanceParameters, HaltParameters,
    LockdownParameters, SlashingParameters, StakingParameters, StallParameters,
};
use crate::{
    AccountName, ChainProperties, GovernanceAction, GovernanceBody, GovernanceMessage, Parameters,
    PublicKey, Signer,
};

pub const EPOCH_MS: u64 = 100_000;
pub const UNBONDING_MS: u64 = 30_000;
pub const MIN_STAKE: u64 = 1_000_000;
pub const FEE: u64 = 10;
pub const CREATION_FEE: u64 = 500;
/// Governors of the first generation have the keys from here on.
pub const GOVERNOR_KEY: u16 = 900;
pub const GOVERNORS: u16 = 3;
pub const GOVERNANCE_THRESHOLD: u16 = 2;

/// Keys of [`GOVERNORS`] governors, from number `first` on.
#[must_use]
pub fn governor_keys(first: u16) -> Vec<PublicKey> {
    (first..first + GOVERNORS)
        .map(|number| key_pair(number).public_key())
        .collect()
}

/// A message that the governors whose keys begin at `first` have signed, as many as have to.
#[must_use]
pub fn governed(first: u16, sequence: u64, action: GovernanceAction) -> GovernanceMessage {
    let body = GovernanceBody { sequence, action };
    let signatures = (0..GOVERNANCE_THRESHOLD)
        .map(|position| body.sign(position, &CHAIN, &key_pair(first + position)))
        .collect();
    GovernanceMessage { body, signatures }
}

/// Parameters with the constants of this module.
///
/// # Panics
/// Never: the account name obeys the rule.
#[must_use]
pub fn parameters() -> Parameters {
    Parameters {
        max_validators: 7,
        epoch_duration_ms: EPOCH_MS,
        fork_db_max: 100,
        fault_injection_allowed: false,
        dag: DagParameters {
            min_round_interval_ms: 50,
            idle_round_interval_ms: 1_000,
            leader_timeout_ms: 250,
            leaders_per_round: 1,
            gc_depth: 60,
            max_clock_drift_ms: 1_000,
        },
        stall: StallParameters {
            timeout_ms: 5_000,
            rounds: 5,
            escalation_ms: 3_600_000,
        },
        halt: HaltParameters {
            equivocation_cluster: 10,
            root_divergence_min_dissenters: 1,
            emergency_halt_max_ms: 1,
        },
        emergency: EmergencyParameters {
            timeout_ms: 3_600_000,
            validator_account: AccountName::new("committee").expect("a valid name"),
            validator_public_key: key_pair(999).public_key(),
            exit_normal_blocks: 21,
            exit_threshold_percent: 75,
            irreversible_support_min_run: 3,
            block_interval_ms: 3_000,
        },
        lockdown: LockdownParameters {
            vote_max_age_ms: 300_000,
            vote_max_ahead_ms: 5_000,
            quorum_numerator: 2,
            quorum_denominator: 3,
            recovery_timeout_ms: 1,
        },
        governance: GovernanceParameters {
            keys: governor_keys(GOVERNOR_KEY),
            threshold: GOVERNANCE_THRESHOLD,
        },
        staking: StakingParameters {
            min_validator_stake: MIN_STAKE,
            unbonding_ms: UNBONDING_MS,
            unbondings_max: 3,
        },
        slashing: slashing(),
        ceremony: CeremonyParameters {
            dkg_max_failures: 3,
        },
        properties: ChainProperties {
            transaction_fee: FEE,
            byte_fee: 0,
            account_creation_fee: CREATION_FEE,
        },
    }
}

fn slashing() -> SlashingParameters {
    SlashingParameters {
        equivocation_basis_points: 1_000,
        equivocation_max_basis_points: 2_500,
        bad_root_basis_points: 500,
        bad_root_max_basis_points: 5_000,
        bad_attestation_basis_points: 500,
        invalid_vertex_basis_points: 500,
        downtime_basis_points_per_round: 5,
        downtime_max_basis_points_per_epoch: 1_000,
        dkg_failure_basis_points: 500,
        escrow_ms: 1,
        jail_first_ms: 150_000,
        jail_second_ms: 400_000,
        evidence_max_age_ms: 1,
        reporter_basis_points: 2_000,
        treasury_basis_points: 3_000,
        reports_per_epoch_max: 5,
    }
}
