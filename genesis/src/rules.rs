//! What must hold of a genesis document beyond the type of every value.
//!
//! Rules about accounts and validators as the ledger sees them (names, doubles, sums) are the ledger's own and checked
//! there.

mod entries;
mod parameters;

use crate::document::{FORMAT, GenesisDocument};
use crate::error::GenesisError;
use holdfast_types::limits::COMMITTEE_MEMBERS_MAX;
use holdfast_types::{Amount, Committee};
use std::fmt::Display;

/// Longest chain name in bytes.
pub const CHAIN_NAME_BYTES_MAX: usize = 64;
/// Longest notes in bytes.
pub const NOTES_BYTES_MAX: usize = 4096;
/// Longest duration that a parameter may name: 100 years, so that no sum of a timestamp and a few of them overflows.
pub const DURATION_MS_MAX: u64 = 100 * 365 * 86_400_000;
/// Longest emergency halt: 30 days, the limit that the governance of the chain cannot change.
pub const EMERGENCY_HALT_MS_MAX: u64 = 30 * 86_400_000;
/// Rounds that a commit takes at least: the wave of the commit rule.
pub const WAVE_ROUNDS: u64 = 3;
/// Rounds that an epoch lasts at least, at the pace of an idle chain.
pub const EPOCH_ROUNDS_MIN: u64 = 10;
/// Largest depth of garbage collection: what is kept in memory per author.
pub const GC_DEPTH_MAX: u64 = 10_000;
/// Most reversible blocks that may be asked for.
pub const FORK_DB_MAX: u32 = 100_000;
/// Most validators that can have the minimum stake at once: the supply is bounded against it. All of them are looked
/// at when an epoch ends.
pub const CANDIDATES_MAX: u64 = 16_384;
/// Most governance keys.
pub const GOVERNANCE_KEYS_MAX: usize = 64;
/// Largest amount of money: what TOML can write.
pub const SUPPLY_MAX: Amount = i64::MAX as u64;

/// Chains that matter wait at least this long before emergency consensus (document 002).
const PRODUCTION_EMERGENCY_MS: u64 = 3_600_000;

const _: () = {
    // A wave must have been decided long before its vertices go.
    assert!(GC_DEPTH_MAX > 2 * WAVE_ROUNDS);
    assert!(EPOCH_ROUNDS_MIN > WAVE_ROUNDS);
    // Supply and minimum stake can be chosen such that a full committee has it.
    assert!(CANDIDATES_MAX >= COMMITTEE_MEMBERS_MAX as u64);
    assert!(EMERGENCY_HALT_MS_MAX < DURATION_MS_MAX);
    // Timestamps up to the year 9999 and some durations on top stay far below 2^64.
    assert!(DURATION_MS_MAX.checked_mul(1_000).is_some());
};

/// Collects what is violated.
#[derive(Default)]
struct Checker {
    violations: Vec<GenesisError>,
}

impl Checker {
    fn require(&mut self, holds: bool, field: &str, rule: impl Into<String>, value: impl Display) {
        if !holds {
            self.violations.push(GenesisError::new(field, rule, value));
        }
    }

    /// `least <= value <= most`.
    fn range<T: PartialOrd + Display>(&mut self, field: &str, value: T, least: T, most: T) {
        let holds = value >= least && value <= most;
        self.require(holds, field, format!("from {least} to {most}"), value);
    }

    /// `value < other`, where `other` has the name `other_field`.
    fn below<T: PartialOrd + Display>(
        &mut self,
        field: &str,
        value: T,
        other_field: &str,
        other: T,
    ) {
        let rule = format!("less than {other_field}, which is {other}");
        self.require(value < other, field, rule, value);
    }

    /// `value <= other`, where `other` has the name `other_field`.
    fn at_most<T: PartialOrd + Display>(
        &mut self,
        field: &str,
        value: T,
        other_field: &str,
        other: T,
    ) {
        let rule = format!("at most {other_field}, which is {other}");
        self.require(value <= other, field, rule, value);
    }
}

/// Everything that is wrong.
pub(crate) fn violations(document: &GenesisDocument) -> Vec<GenesisError> {
    let mut checker = Checker::default();
    head(&mut checker, document);
    parameters::check(&mut checker, document);
    entries::check(&mut checker, document);
    checker.violations
}

fn head(checker: &mut Checker, document: &GenesisDocument) {
    checker.require(
        document.format == FORMAT,
        "format",
        format!("{FORMAT}, which this software reads"),
        document.format,
    );
    let name = &document.chain_name;
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    checker.require(
        (1..=CHAIN_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed),
        "chain_name",
        format!("1 to {CHAIN_NAME_BYTES_MAX} characters of a-z, 0-9, '-' and '.'"),
        format_args!("{name:?}"),
    );
    checker.require(
        document.notes.len() <= NOTES_BYTES_MAX,
        "notes",
        format!("at most {NOTES_BYTES_MAX} bytes"),
        format_args!("{} bytes", document.notes.len()),
    );
}

/// What is allowed but deserves a second look.
pub(crate) fn warnings(document: &GenesisDocument, committee: &Committee) -> Vec<String> {
    let parameters = &document.parameters;
    let mut warnings = Vec::new();
    let (size, slots) = (
        committee.size(),
        parameters::exit_slots(&document.parameters),
    );
    if u32::try_from(size).is_ok_and(|size| size < slots) {
        warnings.push(format!(
            "emergency consensus ends only when real validators hold {slots} of {} slots, but the first committee has {size} members",
            parameters.max_validators
        ));
    }
    if committee.max_faulty() == 0 {
        warnings.push(format!(
            "a committee of {size} tolerates no fault: four validators tolerate one"
        ));
    }
    if parameters.governance.keys.len() == 1 {
        warnings.push("one governance key alone halts and resumes the chain".to_owned());
    }
    if parameters.slashing.evidence_max_age_ms < parameters.epoch_duration_ms {
        warnings.push(
            "slashing.evidence_max_age_ms is shorter than an epoch: evidence expires within it"
                .to_owned(),
        );
    }
    warnings
}
