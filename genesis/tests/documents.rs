//! Genesis documents: what is accepted, what is refused and how, and what comes out.

use holdfast_genesis::{
    AccountEntry, Genesis, GenesisDocument, GenesisTime, NewChain, Template, ValidatorEntry,
    genesis_block,
};
use holdfast_ledger::{MemoryState, state_root};
use holdfast_types::test_util::key_pair;
use holdfast_types::{AccountName, EraKind, Height, PublicKey, Signer, TimestampMs};
use proptest::prelude::*;
use std::path::PathBuf;

fn name(text: &str) -> AccountName {
    AccountName::new(text).expect("a valid name")
}

fn key(number: u16) -> PublicKey {
    key_pair(number).public_key()
}

fn new_chain(validators: u16) -> NewChain {
    let account = |number: u16| name(&format!("validator-{number:03}"));
    let mut accounts: Vec<_> = (0..validators)
        .map(|number| AccountEntry {
            name: account(number),
            key: key(1_000 + number),
            balance: 5_000_000,
        })
        .collect();
    accounts.push(AccountEntry {
        name: name("alice"),
        key: key(2_000),
        balance: 1_000_000_000,
    });
    NewChain {
        chain_name: "test-chain".to_owned(),
        genesis_time: GenesisTime(TimestampMs(1_795_244_400_000)),
        notes: "a test".to_owned(),
        emergency_key: key(3_000),
        governance_keys: (0..12).map(|number| key(4_000 + number)).collect(),
        governance_threshold: None,
        accounts,
        validators: (0..validators)
            .map(|number| ValidatorEntry {
                account: account(number),
                signing_key: Some(key(number)),
                stake: 100_000_000_000,
                url: String::new(),
            })
            .collect(),
        treasury: 7,
    }
}

fn document(template: Template, validators: u16) -> GenesisDocument {
    template.document(new_chain(validators))
}

fn text(document: &GenesisDocument) -> String {
    document.to_toml().expect("its numbers fit")
}

/// The text of a devnet document with one piece replaced.
fn replaced(from: &str, to: &str) -> String {
    let text = text(&document(Template::Devnet, 4));
    assert!(text.contains(from), "{from:?} is in the document");
    text.replacen(from, to, 1)
}

fn refusal(text: &str) -> String {
    Genesis::parse(text).expect_err("refused").to_string()
}

#[test]
fn templates_are_valid_and_survive_text() {
    let cases = [
        (Template::Devnet, 4),
        (Template::Council21, 21),
        (Template::Committee128, 128),
    ];
    for (template, validators) in cases {
        let document = document(template, validators);
        let genesis = Genesis::check(document.clone()).expect("a template is valid");
        assert_eq!(genesis.committee().size(), usize::from(validators));
        assert_eq!(
            genesis.warnings(),
            Vec::<String>::new(),
            "{}",
            template.name()
        );
        let parsed = Genesis::parse(&text(&document)).expect("its text is valid");
        assert_eq!(parsed, genesis);
        assert_eq!(parsed.chain_id(), genesis.chain_id());
        assert_eq!(Template::from_name(template.name()), Some(template));
    }
    assert_eq!(Template::from_name("mainnet"), None);
}

#[test]
fn shipped_template_files_equal_the_code() {
    for template in Template::ALL {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("templates")
            .join(format!("{}.toml", template.name()));
        holdfast_pinned::check_file(&path, &template.file());
    }
}

#[test]
fn a_template_file_is_refused_until_its_keys_are_filled_in() {
    assert_eq!(
        refusal(&Template::Council21.file()),
        "accounts[0].key: a public key is 64 hexadecimal digits; got \"<64 hexadecimal digits of a public key>\""
    );
}

#[test]
fn the_documents_numbers_are_in_the_templates() {
    let council = Genesis::check(document(Template::Council21, 21)).expect("valid");
    let parameters = council.parameters();
    assert_eq!(parameters.max_validators, 21);
    assert_eq!(parameters.emergency.timeout_ms, 3_600_000);
    assert_eq!(parameters.emergency.validator_account, name("committee"));
    assert_eq!(parameters.emergency.exit_normal_blocks, 21);
    assert_eq!(parameters.emergency.exit_threshold_percent, 75);
    assert_eq!(parameters.emergency.irreversible_support_min_run, 3);
    assert_eq!(parameters.emergency.block_interval_ms, 3_000);
    assert_eq!(parameters.fork_db_max, 2_400);
    let committee = Genesis::check(document(Template::Committee128, 128)).expect("valid");
    let parameters = committee.parameters();
    assert_eq!(committee.committee().certified_threshold(), 85);
    assert_eq!(committee.committee().quorum(), 86);
    assert_eq!(
        (parameters.stall.timeout_ms, parameters.stall.rounds),
        (5_000, 5)
    );
    assert_eq!(parameters.halt.equivocation_cluster, 10);
    assert_eq!(parameters.governance.keys.len(), 12);
    assert_eq!(parameters.governance.threshold, 7);
    assert_eq!(parameters.halt.emergency_halt_max_ms, 30 * 86_400_000);
    assert_eq!(parameters.epoch_duration_ms, 10_800_000);
    assert_eq!(parameters.stall.escalation_ms, 3_600_000);
    assert_eq!(parameters.ceremony.dkg_max_failures, 3);
    assert_eq!(parameters.lockdown.vote_max_age_ms, 300_000);
}

#[test]
fn structure_is_refused_with_path_rule_and_value() {
    let cases = [
        (
            replaced("gc_depth = 60", "gc_dept = 60"),
            "parameters.dag.gc_dept: the field is unknown, did you mean gc_depth?; got gc_dept",
        ),
        (
            replaced("treasury = 7", "treasury = 7\nfaucet = true"),
            "faucet: the field is unknown, known are ",
        ),
        (
            replaced("gc_depth = 60\n", ""),
            "parameters.dag.gc_depth: the field is set; got nothing",
        ),
        (
            replaced("gc_depth = 60", "gc_depth = \"60\""),
            "parameters.dag.gc_depth: its type is integer; got string \"60\"",
        ),
        (
            replaced("gc_depth = 60", "gc_depth = -60"),
            "parameters.dag.gc_depth: ",
        ),
        (
            replaced("max_validators = 8", "max_validators = 70000"),
            "parameters.max_validators: ",
        ),
        (
            replaced("name = \"validator-001\"", "name = \"Validator\""),
            "accounts[1].name: account name \"Validator\" breaks the rule",
        ),
        (
            replaced("balance = 5000000", "balance = 5000000\nnonce = 1"),
            "accounts[0].nonce: the field is unknown, known are balance, key, name; got nonce",
        ),
        (
            replaced("account = \"validator-000\"", "acount = \"validator-000\""),
            "validators[0].acount: the field is unknown, did you mean account?; got acount",
        ),
        (
            replaced(
                "genesis_time = 2026-11-21T07:00:00Z",
                "genesis_time = 2026-11-21",
            ),
            "genesis_time: a date and time after 1970 with offset",
        ),
        (
            replaced("[parameters]", "[parameters"),
            "document: it is TOML; got ",
        ),
    ];
    for (text, expected) in cases {
        let message = refusal(&text);
        assert!(
            message.starts_with(expected),
            "{message}\nexpected {expected}"
        );
    }
    let message = refusal(&replaced("max_validators = 8", "max_validators = 70000"));
    assert!(message.ends_with("got 70000"), "{message}");
}

/// Changes one thing in a valid document and gives the refusal.
fn broken(change: impl FnOnce(&mut GenesisDocument)) -> String {
    let mut document = document(Template::Devnet, 4);
    change(&mut document);
    Genesis::check(document).expect_err("refused").to_string()
}

#[test]
fn pace_and_size_are_related() {
    let cases = [
        (
            broken(|it| it.parameters.dag.min_round_interval_ms = 250),
            "parameters.dag.min_round_interval_ms: less than dag.leader_timeout_ms, which is 250; got 250",
        ),
        (
            broken(|it| it.parameters.dag.min_round_interval_ms = 2_000),
            "parameters.dag.min_round_interval_ms: at most dag.idle_round_interval_ms, which is 1000; got 2000",
        ),
        (
            broken(|it| it.parameters.dag.leader_timeout_ms = 5_000),
            "parameters.dag.leader_timeout_ms: less than stall.timeout_ms, which is 5000; got 5000",
        ),
        (
            broken(|it| it.parameters.dag.idle_round_interval_ms = 1_700),
            "parameters.dag.idle_round_interval_ms: 3 times it, the time of a commit, is less than stall.timeout_ms, which is 5000; got 1700",
        ),
        (
            broken(|it| it.parameters.stall.escalation_ms = 5_000),
            "parameters.stall.timeout_ms: less than stall.escalation_ms, which is 5000; got 5000",
        ),
        (
            broken(|it| it.parameters.stall.escalation_ms = 60_001),
            "parameters.stall.escalation_ms: at most emergency.timeout_ms, which is 60000; got 60001",
        ),
        (
            broken(|it| it.parameters.epoch_duration_ms = 9_999),
            "parameters.epoch_duration_ms: at least 10 times dag.idle_round_interval_ms, which is 1000; got 9999",
        ),
        (
            broken(|it| it.parameters.epoch_duration_ms = 0),
            "parameters.epoch_duration_ms: from 1 to 3153600000000; got 0",
        ),
        (
            broken(|it| it.parameters.max_validators = 0),
            "parameters.max_validators: from 1 to 512; got 0",
        ),
        (
            broken(|it| it.parameters.max_validators = 513),
            "parameters.max_validators: from 1 to 512; got 513",
        ),
    ];
    for (message, expected) in cases {
        assert_eq!(message, expected);
    }
}

#[test]
fn only_a_test_chain_allows_fault_injection() {
    assert!(
        document(Template::Devnet, 4)
            .parameters
            .fault_injection_allowed
    );
    for template in [Template::Council21, Template::Committee128] {
        let mut document = document(template, 4);
        assert!(!document.parameters.fault_injection_allowed);
        document.parameters.fault_injection_allowed = true;
        assert_eq!(
            Genesis::check(document).expect_err("refused").to_string(),
            "parameters.fault_injection_allowed: false where emergency.timeout_ms is 3600000 or more, as on every chain that matters; got true"
        );
    }
}

#[test]
fn halts_emergencies_and_votes_are_related() {
    let cases = [
        (
            broken(|it| it.parameters.emergency.exit_threshold_percent = 101),
            "parameters.emergency.exit_threshold_percent: from 1 to 100; got 101",
        ),
        (
            broken(|it| it.parameters.emergency.exit_threshold_percent = 12),
            "parameters.emergency.exit_threshold_percent: of max_validators, which is 8, it is at least one slot; got 12",
        ),
        (
            broken(|it| it.parameters.emergency.exit_normal_blocks = 2),
            "parameters.emergency.exit_normal_blocks: at least a whole round, which is max_validators: 8; got 2",
        ),
        (
            broken(|it| it.parameters.emergency.irreversible_support_min_run = 9),
            "parameters.emergency.irreversible_support_min_run: from 1 to 8; got 9",
        ),
        (
            broken(|it| it.parameters.lockdown.vote_max_ahead_ms = 300_000),
            "parameters.lockdown.vote_max_ahead_ms: less than lockdown.vote_max_age_ms, which is 300000; got 300000",
        ),
        (
            broken(|it| it.parameters.lockdown.quorum_denominator = 4),
            "parameters.lockdown.quorum_numerator: two thirds of quorum_denominator or more, and at most all of it, which is 4; got 2",
        ),
        (
            broken(|it| it.parameters.governance.threshold = 6),
            "parameters.governance.threshold: more than half of the 12 keys and at most all; got 6",
        ),
        (
            broken(|it| it.parameters.governance.threshold = 13),
            "parameters.governance.threshold: more than half of the 12 keys and at most all; got 13",
        ),
        (
            broken(|it| it.parameters.halt.emergency_halt_max_ms += 1),
            "parameters.halt.emergency_halt_max_ms: from 1 to 2592000000; got 2592000001",
        ),
    ];
    for (message, expected) in cases {
        assert_eq!(message, expected);
    }
}

#[test]
fn money_and_penalties_are_related() {
    let cases = [
        (
            broken(|it| it.parameters.slashing.equivocation_max_basis_points = 10_001),
            "parameters.slashing.equivocation_max_basis_points: from 0 to 10000; got 10001",
        ),
        (
            broken(|it| it.parameters.slashing.equivocation_basis_points = 5_001),
            "parameters.slashing.equivocation_basis_points: at most equivocation_max_basis_points, which is 5000; got 5001",
        ),
        (
            broken(|it| it.parameters.slashing.reporter_basis_points = 7_001),
            "parameters.slashing.treasury_basis_points: with reporter_basis_points at most 10000; got 10001",
        ),
        (
            broken(|it| it.parameters.staking.unbonding_ms = 3_599_999),
            "parameters.staking.unbonding_ms: at least slashing.evidence_max_age_ms, which is 3600000; got 3599999",
        ),
        (
            broken(|it| it.parameters.properties.transaction_fee = u64::MAX),
            "parameters.properties: no fee, not even of the longest transaction, is above staking.min_validator_stake, which is 100000000000; got transaction_fee 18446744073709551615, byte_fee 1, account_creation_fee 100000",
        ),
    ];
    for (message, expected) in cases {
        assert_eq!(message, expected);
    }
}

#[test]
fn keys_are_listed_once_and_not_forgotten() {
    let repeated = broken(|it| it.parameters.governance.keys[3] = it.parameters.governance.keys[0]);
    assert!(repeated.starts_with("parameters.governance.keys[3]: every key is listed once"));
    let zeros = broken(|it| it.accounts[2].key = PublicKey::new([0; 32]));
    assert!(zeros.starts_with("accounts[2].key: it is not all zeros; got 00"));
    let none = broken(|it| it.parameters.governance.keys.clear());
    assert!(
        none.starts_with("parameters.governance.keys: 1 to 64 keys"),
        "{none}"
    );
}

#[test]
fn accounts_and_validators_are_checked() {
    let cases = [
        (
            broken(|it| it.format = 2),
            "format: 1, which this software reads; got 2",
        ),
        (
            broken(|it| it.chain_name = "My Chain".to_owned()),
            "chain_name: 1 to 64 characters of a-z, 0-9, '-' and '.'; got \"My Chain\"",
        ),
        (
            broken(|it| it.accounts[0].balance = u64::MAX),
            "accounts, validators, treasury: balances, stakes and treasury sum to at most 9223372036854775807; got 18446744474724551622",
        ),
        (
            broken(|it| it.accounts[0].balance = 2_000_000_000_000_000),
            "parameters.staking.min_validator_stake: at least 122094788514, so that the total supply of 2000401015000007 is enough for at most 16384 candidates; got 100000000000",
        ),
        (
            broken(|it| it.accounts[0].name = name("null")),
            "accounts[1].name: the name is not reserved for the protocol; got null",
        ),
        (
            broken(|it| it.accounts[0].name = name("validator-001")),
            "accounts[2].name: every account is named once; got validator-001",
        ),
        (
            broken(|it| it.validators[0].account = name("bob")),
            "validators[0].account: the account is listed under accounts; got bob",
        ),
        (
            broken(|it| it.validators[2].stake = 5),
            "validators[2].stake: with a signing key at least staking.min_validator_stake, which is 100000000000; got 5",
        ),
        (
            broken(|it| it.validators.clear()),
            "validators: at least one has a signing key and a stake of 100000000000 or more; got none such among 0",
        ),
        (
            broken(|it| it.parameters.max_validators = 3),
            "validators: those with a signing key are at most max_validators, which is 3; got 4",
        ),
    ];
    for (message, expected) in cases {
        assert_eq!(message, expected);
    }
    let message = broken(|it| it.validators[1].signing_key = it.validators[0].signing_key);
    assert!(message.starts_with("validators[1].signing_key: a signing key belongs to one"));
}

#[test]
fn all_violations_are_listed() {
    let mut document = document(Template::Devnet, 4);
    document.parameters.dag.gc_depth = 1;
    document.parameters.governance.threshold = 1;
    document.validators[0].stake = 1;
    let text = text(&document);
    assert_eq!(Genesis::violations(&text).len(), 4);
    assert_eq!(Genesis::violations("what is this").len(), 1);
    document = self::document(Template::Devnet, 4);
    assert_eq!(Genesis::violations(&self::text(&document)), []);
    document.accounts[0].name = document.accounts[1].name;
    assert_eq!(Genesis::violations(&self::text(&document)).len(), 1);
}

#[test]
fn the_chain_id_is_the_meaning_not_the_text() {
    let document = document(Template::Devnet, 4);
    let id = |document: &GenesisDocument| {
        Genesis::check(document.clone())
            .expect("valid")
            .chain_id()
            .to_string()
    };
    let first = id(&document);
    assert_eq!(
        first, "62b48b5c3ecc00d1c1da295be0579b63f45ec7966cad449878b3d3f3f8e52bb8",
        "the chain id of a fixed document never changes"
    );
    let mut reordered = document.clone();
    reordered.accounts.reverse();
    reordered.validators.reverse();
    assert_eq!(id(&reordered), first);
    let commented = format!("# a comment\n\n{}", text(&document));
    let parsed = Genesis::parse(&commented).expect("valid");
    assert_eq!(parsed.chain_id().to_string(), first);
    let changes: [fn(&mut GenesisDocument); 8] = [
        |it| it.chain_name.push('x'),
        |it| it.genesis_time = GenesisTime(it.genesis_time.0.plus(1)),
        |it| it.notes.push('.'),
        |it| it.treasury += 1,
        |it| it.parameters.dag.gc_depth += 1,
        |it| it.accounts[0].balance += 1,
        |it| it.validators[0].stake += 1,
        |it| it.validators[0].signing_key = None,
    ];
    let mut seen = std::collections::BTreeSet::from([first]);
    for change in changes {
        let mut changed = document.clone();
        change(&mut changed);
        assert!(
            seen.insert(id(&changed)),
            "every change makes another chain"
        );
    }
}

#[test]
fn the_parameters_hash_is_of_the_parameters_alone() {
    let one = Genesis::check(document(Template::Devnet, 4)).expect("valid");
    let mut other = document(Template::Devnet, 4);
    other.notes.clear();
    let other = Genesis::check(other).expect("valid");
    assert_ne!(one.chain_id(), other.chain_id());
    assert_eq!(one.parameters_hash(), other.parameters_hash());
}

#[test]
fn block_0_starts_era_1() {
    let genesis = Genesis::check(document(Template::Devnet, 4)).expect("valid");
    let first = genesis_block(&genesis);
    assert_eq!(first, genesis_block(&genesis));
    assert_eq!(first.block.header.height, Height(0));
    assert_eq!(first.block.header.id(&genesis.chain_id()), first.id);
    assert_eq!(first.era.anchor, first.id);
    assert_eq!(first.era.kind, EraKind::Dag);
    assert_eq!(&first.era.committee, genesis.committee());
    let end = first.block.body.era_end.as_ref().expect("era 0 ends");
    assert_eq!(
        first.block.header.next_committee,
        Some(end.committee.hash())
    );
    assert_eq!(
        first.block.header.system_root,
        first.block.body.system_root()
    );
    let state = MemoryState::from_genesis(&first.changes);
    assert_eq!(
        state_root(&state).expect("it reads"),
        Some(first.block.header.state_root)
    );
    let alice = holdfast_ledger::account(&state, &name("alice")).expect("it reads");
    assert_eq!(alice.expect("it exists").balance, 1_000_000_000);
}

#[test]
fn a_devnet_has_room_for_others_to_join() {
    let genesis = Genesis::check(document(Template::Devnet, 40)).expect("valid");
    assert_eq!(genesis.parameters().max_validators, 80);
}

#[test]
fn warnings_name_what_deserves_a_second_look() {
    let mut chain = new_chain(2);
    chain.governance_keys.truncate(1);
    let genesis = Genesis::check(Template::Council21.document(chain)).expect("valid");
    let warnings = genesis.warnings();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings[0].contains("15 of 21 slots"));
}

#[test]
fn show_names_chain_money_and_people() {
    let genesis = Genesis::check(document(Template::Devnet, 4)).expect("valid");
    let text = genesis.show();
    for wanted in [
        "chain             test-chain\n".to_owned(),
        format!("chain id          {}\n", genesis.chain_id()),
        "genesis time      2026-11-21T07:00:00Z\n".to_owned(),
        "total supply      401020000007\n".to_owned(),
        "committee         4 of 8 slots, quorum 3, tolerates 1 faulty\n".to_owned(),
        "  validator-000                    100000000000  ".to_owned(),
        "  alice                              1000000000  ".to_owned(),
        "  gc_depth = 60\n".to_owned(),
    ] {
        assert!(text.contains(&wanted), "{wanted:?} in\n{text}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(
        position in 0usize..6_000,
        length in 0usize..40,
        replacement in "[ -~\\n]{0,12}",
    ) {
        let mut text: Vec<_> = text(&document(Template::Devnet, 2)).chars().collect();
        let start = position.min(text.len());
        let end = (start + length).min(text.len());
        text.splice(start..end, replacement.chars());
        let text: String = text.into_iter().collect();
        if let Err(error) = Genesis::parse(&text) {
            prop_assert!(!error.field.is_empty() && !error.rule.is_empty());
            prop_assert!(!Genesis::violations(&text).is_empty());
        }
    }
}
