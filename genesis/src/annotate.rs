//! Comments in written documents.

use holdfast_types::PublicKey;

/// Stands for a key in template files: it is written as [`PLACEHOLDER_TEXT`], which no parser takes for a key.
pub(crate) const PLACEHOLDER_KEY: PublicKey = PublicKey::new([0; 32]);
const PLACEHOLDER_TEXT: &str = "<64 hexadecimal digits of a public key>";

/// What stands above the fields, by table and field.
const COMMENTS: &[(&str, &str, &str)] = &[
    ("", "format", "Format of this document."),
    (
        "",
        "chain_name",
        "Name for people. What tells one chain from another is the chain id, the hash of this document.",
    ),
    ("", "genesis_time", "Timestamp of block 0."),
    ("", "notes", "Free text, part of the chain id."),
    (
        "",
        "treasury",
        "First balance of the treasury, in base units: a coin has 1000000.",
    ),
    (
        "parameters",
        "max_validators",
        "Validator slots: the largest committee.",
    ),
    (
        "parameters",
        "epoch_duration_ms",
        "Length of an epoch in ms of block time; also how far a rollback may go back.",
    ),
    (
        "parameters",
        "fork_db_max",
        "Most reversible blocks that are kept.",
    ),
    (
        "parameters",
        "fault_injection_allowed",
        "Whether drills may make validators misbehave: never on a chain that matters.",
    ),
    (
        "parameters.dag",
        "min_round_interval_ms",
        "A round is never faster than this.",
    ),
    (
        "parameters.dag",
        "idle_round_interval_ms",
        "Pace of the rounds while nothing waits anywhere.",
    ),
    (
        "parameters.dag",
        "leader_timeout_ms",
        "How long a proposer waits for the leader of the round before.",
    ),
    (
        "parameters.dag",
        "leaders_per_round",
        "Leader slots in every round.",
    ),
    (
        "parameters.dag",
        "gc_depth",
        "Rounds below a committed leader after which uncommitted vertices are dropped.",
    ),
    (
        "parameters.dag",
        "max_clock_drift_ms",
        "A vertex dated further ahead of the local clock waits.",
    ),
    (
        "parameters.stall",
        "timeout_ms",
        "No commit for this long is a stall.",
    ),
    (
        "parameters.stall",
        "rounds",
        "No commit for this many rounds is a stall.",
    ),
    (
        "parameters.stall",
        "escalation_ms",
        "A stall this long escalates.",
    ),
    (
        "parameters.halt",
        "equivocation_cluster",
        "Equivocators in one epoch that halt the chain; f + 1 if that is less.",
    ),
    (
        "parameters.halt",
        "root_divergence_min_dissenters",
        "Signers of a contradicting state root that halt the chain; 1: any contradiction does.",
    ),
    (
        "parameters.halt",
        "emergency_halt_max_ms",
        "Longest emergency halt, at most 30 days.",
    ),
    (
        "parameters.emergency",
        "timeout_ms",
        "Without irreversible progress for this long, emergency consensus starts.",
    ),
    (
        "parameters.emergency",
        "validator_account",
        "Account that produces emergency blocks; nobody owns it.",
    ),
    (
        "parameters.emergency",
        "validator_public_key",
        "Key that signs emergency blocks.",
    ),
    (
        "parameters.emergency",
        "exit_normal_blocks",
        "Blocks looked back on for distinct real producers before an emergency ends.",
    ),
    (
        "parameters.emergency",
        "exit_threshold_percent",
        "Share of the slots that real validators must hold before an emergency ends.",
    ),
    (
        "parameters.emergency",
        "irreversible_support_min_run",
        "Blocks in a row by one producer after which they become irreversible.",
    ),
    (
        "parameters.emergency",
        "block_interval_ms",
        "Length of an emergency slot.",
    ),
    (
        "parameters.lockdown",
        "vote_max_age_ms",
        "Older lockdown votes are rejected.",
    ),
    (
        "parameters.lockdown",
        "vote_max_ahead_ms",
        "Lockdown votes dated further ahead are rejected.",
    ),
    (
        "parameters.lockdown",
        "quorum_numerator",
        "Votes that lock and unlock, as an exact fraction of the committee.",
    ),
    (
        "parameters.lockdown",
        "recovery_timeout_ms",
        "A recovery vote that takes longer raises an alert.",
    ),
    (
        "parameters.governance",
        "keys",
        "Keys that govern: halt, resume, rollback, hard fork.",
    ),
    (
        "parameters.governance",
        "threshold",
        "Signatures that a governance message needs.",
    ),
    (
        "parameters.staking",
        "min_validator_stake",
        "Least stake of a validator in the committee, in base units.",
    ),
    (
        "parameters.staking",
        "unbonding_ms",
        "From unstaking to the return of the money, in live time.",
    ),
    (
        "parameters.staking",
        "unbondings_max",
        "Most unbondings in progress per account.",
    ),
    (
        "parameters.slashing",
        "equivocation_basis_points",
        "What offences cost, in hundredths of a percent of the stake.",
    ),
    (
        "parameters.slashing",
        "escrow_ms",
        "How long governance can reduce a penalty.",
    ),
    (
        "parameters.slashing",
        "jail_first_ms",
        "Jail of a first and a second offender; a third is jailed for good.",
    ),
    (
        "parameters.slashing",
        "evidence_max_age_ms",
        "Older evidence is not punished, in live time.",
    ),
    (
        "parameters.slashing",
        "reporter_basis_points",
        "Who gets the penalty: reporter and treasury; the rest is burned.",
    ),
    (
        "parameters.slashing",
        "reports_per_epoch_max",
        "Most rewarded reports of one reporter in an epoch.",
    ),
    (
        "parameters.ceremony",
        "dkg_max_failures",
        "Failed key ceremonies in a row after which encryption is off for the epoch.",
    ),
    (
        "parameters.properties",
        "transaction_fee",
        "First chain properties, in base units; validators vote on them.",
    ),
    (
        "parameters.properties",
        "byte_fee",
        "Per byte of an encoded transaction.",
    ),
    (
        "parameters.properties",
        "account_creation_fee",
        "On top for creating an account.",
    ),
];

/// The document `text` with its comments.
pub(crate) fn annotated(text: &str) -> String {
    let placeholder = PLACEHOLDER_KEY.to_string();
    let mut output = String::with_capacity(text.len() * 2);
    let mut table = String::new();
    for line in text.lines() {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            table = name.trim_matches(['[', ']']).to_owned();
        } else if let Some((field, _)) = line.split_once(" = ")
            && let Some((.., comment)) = COMMENTS
                .iter()
                .find(|(of_table, of_field, _)| *of_table == table && *of_field == field)
        {
            output.push_str("# ");
            output.push_str(comment);
            output.push('\n');
        }
        output.push_str(&line.replace(&placeholder, PLACEHOLDER_TEXT));
        output.push('\n');
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::templates::Template;

    #[test]
    fn every_comment_stands_above_its_field() {
        let text = Template::Devnet.file();
        for (table, field, comment) in COMMENTS {
            let wanted = format!("# {comment}\n{field} = ");
            assert_eq!(text.matches(&wanted).count(), 1, "{table} {field}");
        }
    }
}
