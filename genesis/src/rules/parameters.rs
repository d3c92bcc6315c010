//! Rules of the consensus parameters.

use super::{
    CANDIDATES_MAX, Checker, DURATION_MS_MAX, EMERGENCY_HALT_MS_MAX, EPOCH_ROUNDS_MIN, FORK_DB_MAX,
    GC_DEPTH_MAX, GOVERNANCE_KEYS_MAX, PRODUCTION_EMERGENCY_MS, SUPPLY_MAX, WAVE_ROUNDS,
};
use crate::document::GenesisDocument;
use holdfast_ledger::validator::properties_in_range;
use holdfast_types::Parameters;
use holdfast_types::limits::COMMITTEE_MEMBERS_MAX;
use holdfast_types::parameters::{
    DagParameters, EmergencyParameters, GovernanceParameters, LockdownParameters,
    SlashingParameters, StakingParameters,
};
use std::collections::BTreeSet;

/// All of a share.
const BASIS_POINTS: u16 = 10_000;

pub(super) fn check(checker: &mut Checker, document: &GenesisDocument) {
    let parameters = &document.parameters;
    durations(checker, parameters);
    general(checker, parameters);
    dag(checker, &parameters.dag, parameters);
    stall_and_halt(checker, parameters);
    emergency(checker, &parameters.emergency, parameters);
    lockdown(checker, &parameters.lockdown);
    governance(checker, &parameters.governance);
    staking(checker, &parameters.staking, document);
    penalties(checker, &parameters.slashing);
    slashing_terms(checker, &parameters.slashing, parameters);
    properties(checker, parameters);
}

/// Every duration is positive and bounded.
fn durations(checker: &mut Checker, parameters: &Parameters) {
    let Parameters {
        dag,
        stall,
        halt,
        emergency,
        lockdown,
        staking,
        slashing,
        ..
    } = parameters;
    let all = [
        ("epoch_duration_ms", parameters.epoch_duration_ms),
        ("dag.min_round_interval_ms", dag.min_round_interval_ms),
        ("dag.idle_round_interval_ms", dag.idle_round_interval_ms),
        ("dag.leader_timeout_ms", dag.leader_timeout_ms),
        ("dag.max_clock_drift_ms", dag.max_clock_drift_ms),
        ("stall.timeout_ms", stall.timeout_ms),
        ("stall.escalation_ms", stall.escalation_ms),
        ("halt.emergency_halt_max_ms", halt.emergency_halt_max_ms),
        ("emergency.timeout_ms", emergency.timeout_ms),
        ("emergency.block_interval_ms", emergency.block_interval_ms),
        ("lockdown.vote_max_age_ms", lockdown.vote_max_age_ms),
        ("lockdown.vote_max_ahead_ms", lockdown.vote_max_ahead_ms),
        ("lockdown.recovery_timeout_ms", lockdown.recovery_timeout_ms),
        ("staking.unbonding_ms", staking.unbonding_ms),
        ("slashing.escrow_ms", slashing.escrow_ms),
        ("slashing.jail_first_ms", slashing.jail_first_ms),
        ("slashing.jail_second_ms", slashing.jail_second_ms),
        ("slashing.evidence_max_age_ms", slashing.evidence_max_age_ms),
    ];
    for (field, duration) in all {
        checker.range(&format!("parameters.{field}"), duration, 1, DURATION_MS_MAX);
    }
}

fn general(checker: &mut Checker, parameters: &Parameters) {
    let members_max = u16::try_from(COMMITTEE_MEMBERS_MAX).unwrap_or(u16::MAX);
    checker.range(
        "parameters.max_validators",
        parameters.max_validators,
        1,
        members_max,
    );
    let idle = parameters.dag.idle_round_interval_ms;
    checker.require(
        parameters.epoch_duration_ms >= idle.saturating_mul(EPOCH_ROUNDS_MIN),
        "parameters.epoch_duration_ms",
        format!("at least {EPOCH_ROUNDS_MIN} times dag.idle_round_interval_ms, which is {idle}"),
        parameters.epoch_duration_ms,
    );
    checker.range(
        "parameters.fork_db_max",
        parameters.fork_db_max,
        16,
        FORK_DB_MAX,
    );
    checker.require(
        !parameters.fault_injection_allowed
            || parameters.emergency.timeout_ms < PRODUCTION_EMERGENCY_MS,
        "parameters.fault_injection_allowed",
        format!(
            "false where emergency.timeout_ms is {PRODUCTION_EMERGENCY_MS} or more, as on every chain that matters"
        ),
        parameters.fault_injection_allowed,
    );
    checker.range(
        "parameters.ceremony.dkg_max_failures",
        parameters.ceremony.dkg_max_failures,
        1,
        u16::MAX,
    );
}

fn dag(checker: &mut Checker, dag: &DagParameters, parameters: &Parameters) {
    let stall_timeout = parameters.stall.timeout_ms;
    checker.at_most(
        "parameters.dag.min_round_interval_ms",
        dag.min_round_interval_ms,
        "dag.idle_round_interval_ms",
        dag.idle_round_interval_ms,
    );
    checker.below(
        "parameters.dag.min_round_interval_ms",
        dag.min_round_interval_ms,
        "dag.leader_timeout_ms",
        dag.leader_timeout_ms,
    );
    checker.below(
        "parameters.dag.leader_timeout_ms",
        dag.leader_timeout_ms,
        "stall.timeout_ms",
        stall_timeout,
    );
    // Otherwise an idle chain, which commits once in a wave, would call itself stalled.
    checker.require(
        dag.idle_round_interval_ms.saturating_mul(WAVE_ROUNDS) < stall_timeout,
        "parameters.dag.idle_round_interval_ms",
        format!(
            "{WAVE_ROUNDS} times it, the time of a commit, is less than stall.timeout_ms, which is {stall_timeout}"
        ),
        dag.idle_round_interval_ms,
    );
    checker.range(
        "parameters.dag.leaders_per_round",
        dag.leaders_per_round,
        1,
        parameters.max_validators,
    );
    checker.range(
        "parameters.dag.gc_depth",
        dag.gc_depth,
        2 * WAVE_ROUNDS,
        GC_DEPTH_MAX,
    );
    checker.below(
        "parameters.dag.max_clock_drift_ms",
        dag.max_clock_drift_ms,
        "epoch_duration_ms",
        parameters.epoch_duration_ms,
    );
}

fn stall_and_halt(checker: &mut Checker, parameters: &Parameters) {
    let Parameters { stall, halt, .. } = parameters;
    checker.range(
        "parameters.stall.rounds",
        stall.rounds,
        1,
        parameters.dag.gc_depth,
    );
    checker.below(
        "parameters.stall.timeout_ms",
        stall.timeout_ms,
        "stall.escalation_ms",
        stall.escalation_ms,
    );
    checker.at_most(
        "parameters.stall.escalation_ms",
        stall.escalation_ms,
        "emergency.timeout_ms",
        parameters.emergency.timeout_ms,
    );
    checker.range(
        "parameters.halt.equivocation_cluster",
        halt.equivocation_cluster,
        1,
        u16::MAX,
    );
    checker.range(
        "parameters.halt.root_divergence_min_dissenters",
        halt.root_divergence_min_dissenters,
        1,
        u16::MAX,
    );
    checker.range(
        "parameters.halt.emergency_halt_max_ms",
        halt.emergency_halt_max_ms,
        1,
        EMERGENCY_HALT_MS_MAX,
    );
}

/// Slots that real validators must hold at the end of an emergency.
pub(super) fn exit_slots(parameters: &Parameters) -> u32 {
    u32::from(parameters.max_validators) * u32::from(parameters.emergency.exit_threshold_percent)
        / 100
}

fn emergency(checker: &mut Checker, emergency: &EmergencyParameters, parameters: &Parameters) {
    checker.below(
        "parameters.emergency.block_interval_ms",
        emergency.block_interval_ms,
        "emergency.timeout_ms",
        emergency.timeout_ms,
    );
    let percent = emergency.exit_threshold_percent;
    checker.range(
        "parameters.emergency.exit_threshold_percent",
        percent,
        1,
        100,
    );
    let slots = exit_slots(parameters);
    checker.require(
        slots >= 1,
        "parameters.emergency.exit_threshold_percent",
        format!(
            "of max_validators, which is {}, it is at least one slot",
            parameters.max_validators
        ),
        percent,
    );
    let blocks = emergency.exit_normal_blocks;
    // Who has returned has one slot in a round. Of fewer blocks than a round has, some never show up, and the emergency
    // may never end.
    let round = u32::from(parameters.max_validators);
    checker.require(
        blocks >= round,
        "parameters.emergency.exit_normal_blocks",
        format!("at least a whole round, which is max_validators: {round}"),
        blocks,
    );
    checker.at_most(
        "parameters.emergency.exit_normal_blocks",
        blocks,
        "fork_db_max",
        parameters.fork_db_max,
    );
    checker.range(
        "parameters.emergency.irreversible_support_min_run",
        emergency.irreversible_support_min_run,
        1,
        blocks.max(1),
    );
}

fn lockdown(checker: &mut Checker, lockdown: &LockdownParameters) {
    checker.below(
        "parameters.lockdown.vote_max_ahead_ms",
        lockdown.vote_max_ahead_ms,
        "lockdown.vote_max_age_ms",
        lockdown.vote_max_age_ms,
    );
    let numerator = u64::from(lockdown.quorum_numerator);
    let denominator = u64::from(lockdown.quorum_denominator);
    checker.require(
        3 * numerator >= 2 * denominator && numerator <= denominator,
        "parameters.lockdown.quorum_numerator",
        // Below it two parts of which each has a third of liars could go on from different blocks.
        format!("two thirds of quorum_denominator or more, and at most all of it, which is {denominator}"),
        numerator,
    );
}

fn governance(checker: &mut Checker, governance: &GovernanceParameters) {
    let keys = governance.keys.len();
    checker.require(
        (1..=GOVERNANCE_KEYS_MAX).contains(&keys),
        "parameters.governance.keys",
        format!(
            "1 to {GOVERNANCE_KEYS_MAX} keys: without any, a halted chain could not be resumed"
        ),
        format_args!("{keys} keys"),
    );
    let mut seen = BTreeSet::new();
    for (position, key) in governance.keys.iter().enumerate() {
        checker.require(
            seen.insert(key),
            &format!("parameters.governance.keys[{position}]"),
            "every key is listed once",
            key,
        );
    }
    let threshold = usize::from(governance.threshold);
    // Two groups that share nobody could otherwise halt and resume against each other.
    checker.require(
        2 * threshold > keys && threshold <= keys,
        "parameters.governance.threshold",
        format!("more than half of the {keys} keys and at most all"),
        threshold,
    );
}

fn staking(checker: &mut Checker, staking: &StakingParameters, document: &GenesisDocument) {
    checker.range(
        "parameters.staking.min_validator_stake",
        staking.min_validator_stake,
        1,
        SUPPLY_MAX,
    );
    checker.range(
        "parameters.staking.unbondings_max",
        staking.unbondings_max,
        1,
        u16::MAX,
    );
    let evidence_age = document.parameters.slashing.evidence_max_age_ms;
    // Otherwise stake could leave before the offence is proved.
    checker.require(
        staking.unbonding_ms >= evidence_age,
        "parameters.staking.unbonding_ms",
        format!("at least slashing.evidence_max_age_ms, which is {evidence_age}"),
        staking.unbonding_ms,
    );
    let balances = document.accounts.iter().map(|account| account.balance);
    let stakes = document.validators.iter().map(|validator| validator.stake);
    let supply = balances
        .chain(stakes)
        .fold(u128::from(document.treasury), |sum, amount| {
            sum + u128::from(amount)
        });
    checker.require(
        supply <= u128::from(SUPPLY_MAX),
        "accounts, validators, treasury",
        format!("balances, stakes and treasury sum to at most {SUPPLY_MAX}"),
        supply,
    );
    let least = supply.div_ceil(u128::from(CANDIDATES_MAX));
    checker.require(
        u128::from(staking.min_validator_stake) >= least,
        "parameters.staking.min_validator_stake",
        format!(
            "at least {least}, so that the total supply of {supply} is enough for at most {CANDIDATES_MAX} candidates"
        ),
        staking.min_validator_stake,
    );
}

/// Shares of the stake.
fn penalties(checker: &mut Checker, slashing: &SlashingParameters) {
    let shares = [
        (
            "bad_attestation_basis_points",
            slashing.bad_attestation_basis_points,
        ),
        (
            "invalid_vertex_basis_points",
            slashing.invalid_vertex_basis_points,
        ),
        (
            "dkg_failure_basis_points",
            slashing.dkg_failure_basis_points,
        ),
        (
            "equivocation_max_basis_points",
            slashing.equivocation_max_basis_points,
        ),
        (
            "bad_root_max_basis_points",
            slashing.bad_root_max_basis_points,
        ),
        (
            "downtime_max_basis_points_per_epoch",
            slashing.downtime_max_basis_points_per_epoch,
        ),
    ];
    for (field, share) in shares {
        let field = format!("parameters.slashing.{field}");
        checker.range(&field, share, 0, BASIS_POINTS);
    }
    let pairs = [
        (
            "equivocation_basis_points",
            slashing.equivocation_basis_points,
            "equivocation_max_basis_points",
            slashing.equivocation_max_basis_points,
        ),
        (
            "bad_root_basis_points",
            slashing.bad_root_basis_points,
            "bad_root_max_basis_points",
            slashing.bad_root_max_basis_points,
        ),
        (
            "downtime_basis_points_per_round",
            slashing.downtime_basis_points_per_round,
            "downtime_max_basis_points_per_epoch",
            slashing.downtime_max_basis_points_per_epoch,
        ),
    ];
    for (field, share, most_field, most) in pairs {
        checker.at_most(
            &format!("parameters.slashing.{field}"),
            share,
            most_field,
            most,
        );
    }
}

/// Who gets penalties, and how long things take.
fn slashing_terms(checker: &mut Checker, slashing: &SlashingParameters, parameters: &Parameters) {
    let given =
        u32::from(slashing.reporter_basis_points) + u32::from(slashing.treasury_basis_points);
    checker.require(
        given <= u32::from(BASIS_POINTS),
        "parameters.slashing.treasury_basis_points",
        format!("with reporter_basis_points at most {BASIS_POINTS}"),
        given,
    );
    checker.at_most(
        "parameters.slashing.jail_first_ms",
        slashing.jail_first_ms,
        "jail_second_ms",
        slashing.jail_second_ms,
    );
    checker.at_most(
        "parameters.slashing.escrow_ms",
        slashing.escrow_ms,
        "staking.unbonding_ms",
        parameters.staking.unbonding_ms,
    );
    checker.range(
        "parameters.slashing.reports_per_epoch_max",
        slashing.reports_per_epoch_max,
        1,
        u16::MAX,
    );
}

fn properties(checker: &mut Checker, parameters: &Parameters) {
    let properties = &parameters.properties;
    checker.require(
        properties_in_range(properties, parameters),
        "parameters.properties",
        format!(
            "no fee, not even of the longest transaction, is above staking.min_validator_stake, which is {}",
            parameters.staking.min_validator_stake
        ),
        format_args!(
            "transaction_fee {}, byte_fee {}, account_creation_fee {}",
            properties.transaction_fee, properties.byte_fee, properties.account_creation_fee
        ),
    );
}
