//! Draft, sign, combine and show without a node, and everything that is refused on the way.

use crate::cli::cli_machine::Machine;
use crate::environment::Environment;
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::keystore::{self, Answers, KdfParameters, KeyKind, Password, UnlockedKey};
use holdfast_genesis::{AccountEntry, Genesis, GenesisTime, NewChain, Template, ValidatorEntry};
use holdfast_types::{AccountName, KeyPair, Signer as _, TimestampMs};
use serde_json::Value;
use std::path::PathBuf;
use zeroize::Zeroizing;

const GOVERNORS: u8 = 12;

fn governor(number: u8) -> KeyPair {
    KeyPair::from_secret(&[number + 1; 32])
}

/// A key file of `kind`; its password is that of the machine's environment.
fn key_file(machine: &Machine, name: &str, secret: u8, kind: KeyKind) -> String {
    let path = machine.path(&format!("{name}.json"));
    if !path.exists() {
        let password = Password::new(Zeroizing::new(b"correct horse".to_vec()));
        let key = UnlockedKey::from_secret(kind, &[secret; 32]);
        let file = key.seal(&password, KdfParameters::INSECURE).unwrap();
        keystore::save_new(&path, &file).unwrap();
    }
    path.display().to_string()
}

fn governor_file(machine: &Machine, number: u8) -> String {
    let name = format!("governor-{number}");
    key_file(machine, &name, number + 1, KeyKind::Governor)
}

/// A genesis document with twelve governors.
fn genesis(machine: &Machine, name: &str) -> String {
    let path = machine.path(&format!("{name}.toml"));
    if !path.exists() {
        let account = AccountName::new("validator-0").unwrap();
        let document = Template::Devnet.document(NewChain {
            chain_name: name.to_owned(),
            genesis_time: GenesisTime(TimestampMs(1_790_000_000_000)),
            notes: String::new(),
            emergency_key: KeyPair::from_secret(&[200; 32]).public_key(),
            governance_keys: (0..GOVERNORS).map(|n| governor(n).public_key()).collect(),
            governance_threshold: None,
            accounts: vec![AccountEntry {
                name: account,
                key: KeyPair::from_secret(&[201; 32]).public_key(),
                balance: 1_000_000_000_000,
            }],
            validators: vec![ValidatorEntry {
                account,
                signing_key: Some(KeyPair::from_secret(&[202; 32]).public_key()),
                stake: 200_000_000_000,
                url: String::new(),
            }],
            treasury: 0,
        });
        let genesis = Genesis::check(document).unwrap();
        std::fs::write(&path, genesis.document().to_toml().unwrap()).unwrap();
    }
    path.display().to_string()
}

/// Drafts a halt and gives the path of its file.
/// What a draft of a halt begins with.
const DRAFT_HALT: [&str; 7] = [
    "governance",
    "draft",
    "halt",
    "--reason",
    "x",
    "--for",
    "1h",
];

fn draft(machine: &Machine, name: &str) -> String {
    draft_with(machine, name, "7")
}

fn draft_with(machine: &Machine, name: &str, sequence: &str) -> String {
    let path = machine.path(name).display().to_string();
    let genesis = genesis(machine, "one");
    let line = [
        "governance",
        "draft",
        "halt",
        "--reason",
        "a bug in the bridge",
        "--for",
        "2h",
        "--genesis",
        &genesis,
        "--sequence",
        sequence,
        "--output",
        &path,
    ];
    let printed = machine.run(&line).unwrap();
    assert!(printed.contains("HALT the chain at once"), "{printed}");
    assert!(printed.contains("7 signatures are missing"), "{printed}");
    // Not the id that the message names: a governor knows the chain from elsewhere.
    let command = format!("governance sign {path} --key KEYSTORE --chain-id HEX");
    assert!(printed.contains(&command), "{printed}");
    path
}

/// Signs a draft of [`draft`] as the holder of the key file, asking nobody.
fn sign_with(machine: &Machine, file: &str, key: &str) -> (String, Option<Failure>) {
    let genesis = genesis(machine, "one");
    let line = ["governance", "sign", file, "--key", key, "--yes"];
    machine.run_to_end(&[&line[..], &["--genesis", &genesis]].concat())
}

fn sign(machine: &Machine, file: &str, number: u8) -> String {
    let (printed, failure) = sign_with(machine, file, &governor_file(machine, number));
    assert!(failure.is_none(), "{failure:?}");
    printed
}

fn shown(machine: &Machine, file: &str) -> Value {
    let printed = machine
        .run(&["governance", "show", file, "--json"])
        .unwrap();
    serde_json::from_str(&printed).unwrap()
}

fn change(file: &str, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    change(&mut value);
    std::fs::write(file, value.to_string()).unwrap();
}

#[test]
fn seven_of_twelve_sign_copies_that_are_combined() {
    let machine = Machine::new();
    let file = draft(&machine, "halt.json");
    let mut copies: Vec<String> = Vec::new();
    for number in [11, 2, 5, 0, 7, 9, 3] {
        let copy = machine.path(&format!("copy-{number}.json"));
        std::fs::copy(&file, &copy).unwrap();
        let copy = copy.display().to_string();
        let printed = sign(&machine, &copy, number);
        assert!(
            printed.contains(&format!(
                "signed as governor {number}; 6 signatures are missing"
            )),
            "{printed}"
        );
        copies.push(copy);
    }
    let all = machine.path("all.json").display().to_string();
    let mut line = vec!["governance", "combine"];
    line.extend(copies.iter().map(String::as_str));
    line.extend(["--output", &all]);
    let printed = machine.run(&line).unwrap();
    assert!(printed.contains("7 of 7 signatures"), "{printed}");
    assert!(printed.contains("holdfast governance submit"), "{printed}");
    let value = shown(&machine, &all);
    assert_eq!(
        (&value["signatures"], &value["missing"], &value["sequence"]),
        (&7.into(), &0.into(), &"7".into())
    );
    let signed: Vec<_> = value["governors"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|governor| governor["signed"] == true)
        .map(|governor| governor["position"].as_u64().unwrap())
        .collect();
    assert_eq!(signed, [0, 2, 3, 5, 7, 9, 11]);
    let text = machine.run(&["governance", "show", &all]).unwrap();
    assert!(text.contains("reason: \"a bug in the bridge\""), "{text}");
    assert!(text.contains("7 of 7 that have to, 12 governors"), "{text}");
}

#[test]
fn nobody_signs_twice_and_only_governors_sign() {
    let machine = Machine::new();
    let file = draft(&machine, "halt.json");
    sign(&machine, &file, 4);
    let refused = |key: &str| sign_with(&machine, &file, key).1.expect("a failure");
    let failure = refused(&governor_file(&machine, 4));
    assert!(failure.what.contains("governor 4 has signed"), "{failure}");
    let stranger = key_file(&machine, "stranger", 99, KeyKind::Governor);
    let failure = refused(&stranger);
    assert!(failure.what.contains("key of no governor"), "{failure}");
    assert_eq!(shown(&machine, &file)["signatures"], 1);
}

#[test]
fn the_right_key_in_a_file_of_another_kind_is_refused_before_anybody_is_asked() {
    let mut machine = Machine::new();
    let file = draft(&machine, "halt.json");
    let account = key_file(&machine, "account", 6, KeyKind::Account);
    // Without a password in the environment, signing has to ask for it.
    machine.environment = Environment::default();
    let mut person = Answers::of(&["yes", "correct horse"]);
    let line = ["governance", "sign", &file, "--key", &account];
    let (printed, failure) = machine.run_before(&mut person, &line);
    let failure = failure.unwrap();
    assert_eq!(failure.code, ExitCode::Keystore, "{failure}");
    assert_eq!(failure.what, "a key file is of the wrong kind");
    assert!(person.asked.is_empty() && printed.is_empty(), "{person:?}");
}

#[test]
fn who_does_not_say_yes_does_not_sign() {
    let machine = Machine::new();
    let file = draft(&machine, "halt.json");
    let key = governor_file(&machine, 1);
    let line = ["governance", "sign", &file, "--key", &key];
    let (printed, failure) = machine.run_to_end(&line);
    assert!(printed.contains("you are about to sign"), "{printed}");
    assert!(failure.unwrap().why.contains("nobody to ask"));
    for answer in ["no", "y", ""] {
        let mut person = Answers::of(&[answer]);
        let (_, failure) = machine.run_before(&mut person, &line);
        assert_eq!(failure.unwrap().why, "the answer was not yes", "{answer:?}");
    }
    assert_eq!(shown(&machine, &file)["signatures"], 0);
    let mut person = Answers::of(&["yes"]);
    let (printed, failure) = machine.run_before(&mut person, &line);
    assert!(failure.is_none(), "{failure:?}");
    assert!(printed.contains("signed as governor 1"), "{printed}");
    assert_eq!(person.asked, ["sign this? (yes or no) "]);
    assert_eq!(shown(&machine, &file)["signatures"], 1);
}

#[test]
fn a_chain_that_nobody_named_is_told_and_never_signed_for_unasked() {
    const NOT_CHECKED: &str = "chain NOT CHECKED: give --chain-id HEX or --genesis FILE";
    let machine = Machine::new();
    let file = draft(&machine, "halt.json");
    let key = governor_file(&machine, 1);
    let line = ["governance", "sign", &file, "--key", &key];
    let failure = machine.failure(&[&line[..], &["--yes"]].concat());
    assert_eq!(failure.code, ExitCode::Usage, "{failure}");
    assert!(failure.next_step.contains("--chain-id HEX"), "{failure}");
    let (printed, _) = machine.run_to_end(&line);
    assert!(printed.contains(NOT_CHECKED), "{printed}");
    let chain = shown(&machine, &file)["chain_id"].clone();
    let named = ["--chain-id", chain.as_str().unwrap()];
    let (printed, _) = machine.run_to_end(&[&line[..], &named].concat());
    assert!(printed.contains("you are about to sign"), "{printed}");
    assert!(!printed.contains("NOT CHECKED"), "{printed}");
    assert_eq!(shown(&machine, &file)["signatures"], 0);
}

#[test]
fn a_signed_message_takes_the_place_of_its_input_and_of_no_other_file() {
    let mut machine = Machine::new();
    let file = draft(&machine, "halt.json");
    let other = draft_with(&machine, "other.json", "8");
    let key = governor_file(&machine, 1);
    let there_already = |machine: &Machine, line: &[&str]| {
        let mut person = Answers::of(&["yes", "correct horse"]);
        let (_, failure) = machine.run_before(&mut person, line);
        let failure = failure.unwrap();
        assert_eq!(failure.code, ExitCode::Usage, "{failure}");
        assert_eq!(failure.why, "the file is there already");
        assert_eq!(failure.next_step, "name another --output");
        assert!(person.asked.is_empty(), "{person:?}");
    };
    let into_other = [
        "governance",
        "sign",
        &file,
        "--key",
        &key,
        "--output",
        &other,
    ];
    machine.environment = Environment::default();
    there_already(&machine, &into_other);
    machine.environment = Machine::new().environment;
    there_already(
        &machine,
        &["governance", "combine", &file, "--output", &other],
    );
    assert_eq!(shown(&machine, &other)["sequence"], "8");
    // The same place by another name.
    let alias = machine.path("there/../halt.json").display().to_string();
    std::fs::create_dir(machine.path("there")).unwrap();
    let into_itself = [
        "governance",
        "sign",
        &file,
        "--key",
        &key,
        "--output",
        &alias,
    ];
    let mut person = Answers::of(&["yes"]);
    let (_, failure) = machine.run_before(&mut person, &into_itself);
    assert!(failure.is_none(), "{failure:?}");
    assert_eq!(shown(&machine, &file)["signatures"], 1);
    let copy = machine.path("copy.json").display().to_string();
    std::fs::copy(&file, &copy).unwrap();
    sign(&machine, &copy, 2);
    let combine = ["governance", "combine", &copy, &file, "--output", &file];
    machine.run(&combine).unwrap();
    assert_eq!(shown(&machine, &file)["signatures"], 2);
    let genesis = genesis(&machine, "one");
    let into_another = ["--sequence", "9", "--genesis", &genesis, "--output", &file];
    let failure = machine.failure(&[&DRAFT_HALT[..], &into_another[..]].concat());
    assert_eq!(failure.why, "the file is there already", "{failure}");
}

#[test]
fn a_message_for_another_chain_is_not_signed() {
    let machine = Machine::new();
    let file = draft(&machine, "halt.json");
    let key = governor_file(&machine, 1);
    let other = genesis(&machine, "two");
    let failure = machine.failure(&[
        "governance",
        "sign",
        &file,
        "--key",
        &key,
        "--yes",
        "--genesis",
        &other,
    ]);
    assert_eq!(failure.code, ExitCode::GenesisDiffers, "{failure}");
    // The chain id in the file is part of what is signed.
    change(&file, |value| value["chain_id"] = "11".repeat(32).into());
    let failure = machine.failure(&["governance", "sign", &file, "--key", &key, "--yes"]);
    assert!(failure.why.contains("message id"), "{failure}");
}

#[test]
fn a_changed_file_is_refused_whatever_was_changed() {
    let machine = Machine::new();
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 8] = [
        ("words", |value| {
            value["orders"][0] = "RESUME the chain".into();
        }),
        ("sequence", |value| value["sequence"] = 8.into()),
        ("action", |value| value["action"] = "resume".into()),
        ("body", |value| {
            let body = value["body"].as_str().unwrap().to_owned();
            value["body"] = format!("09{}", &body[2..]).into();
        }),
        ("more body", |value| {
            value["body"] = format!("{}00", value["body"].as_str().unwrap()).into();
        }),
        ("signature", |value| {
            value["signatures"][0]["signature"] = "00".repeat(64).into();
        }),
        ("signer", |value| {
            value["signatures"][0]["governor"] = 2.into()
        }),
        ("unknown field", |value| value["note"] = "trust me".into()),
    ];
    for (what, apply) in changes {
        let name = format!("{}.json", what.replace(' ', "-"));
        let file = draft(&machine, &name);
        sign(&machine, &file, 0);
        change(&file, apply);
        let key = governor_file(&machine, 1);
        for line in [
            vec!["governance", "show", &file],
            vec!["governance", "sign", &file, "--key", &key, "--yes"],
            vec!["governance", "submit", &file],
            vec!["governance", "combine", &file, "--output", &file],
        ] {
            let failure = machine.failure(&line);
            assert_eq!(failure.code, ExitCode::Usage, "{what}: {failure}");
        }
    }
}

#[test]
fn copies_of_different_messages_are_not_combined() {
    let machine = Machine::new();
    let one = draft(&machine, "one.json");
    let other = draft_with(&machine, "other.json", "8");
    let output = machine.path("all.json").display().to_string();
    let failure = machine.failure(&["governance", "combine", &one, &other, "--output", &output]);
    assert!(failure.what.contains("another message"), "{failure}");
    assert!(!PathBuf::from(output).exists());
}

#[test]
fn too_few_signatures_are_not_submitted() {
    let machine = Machine::new();
    let file = draft(&machine, "halt.json");
    for number in 0..6 {
        sign(&machine, &file, number);
    }
    let failure = machine.failure(&["governance", "submit", &file]);
    assert_eq!(failure.why, "6 governors have signed, 7 have to");
    assert!(failure.next_step.contains(" --chain-id HEX"), "{failure}");
}

#[test]
fn what_no_node_would_take_is_not_drafted() {
    let machine = Machine::new();
    let genesis = genesis(&machine, "one");
    let output = machine.path("never.json").display().to_string();
    let end = [
        "--genesis",
        &genesis,
        "--sequence",
        "1",
        "--output",
        &output,
    ];
    let key = governor(0).public_key().to_string();
    for (line, why) in [
        (
            vec![
                "governance",
                "draft",
                "halt",
                "--reason",
                "x",
                "--for",
                "31d",
            ],
            "the limit is",
        ),
        (
            vec![
                "governance",
                "draft",
                "halt",
                "--reason",
                "x",
                "--until",
                "5",
            ],
            "not after now",
        ),
        (
            vec![
                "governance",
                "draft",
                "rotate-keys",
                "--governor",
                &key,
                "--governor",
                &key,
                "--threshold",
                "2",
            ],
            "distinct keys",
        ),
    ] {
        let failure = machine.failure(&[line, end.to_vec()].concat());
        assert!(failure.why.contains(why), "{failure}");
    }
    assert!(!PathBuf::from(&output).exists());
}

#[test]
fn without_a_node_the_sequence_number_has_to_be_given() {
    let machine = Machine::new();
    let genesis = genesis(&machine, "one");
    let output = machine.path("never.json").display().to_string();
    let unnumbered = ["--genesis", &genesis, "--output", &output];
    let failure = machine.failure(&[&DRAFT_HALT[..], &unnumbered[..]].concat());
    assert!(failure.next_step.contains("--from-node"), "{failure}");
}

#[test]
fn keys_are_rotated_by_name() {
    let machine = Machine::new();
    let genesis = genesis(&machine, "one");
    let output = machine.path("rotate.json").display().to_string();
    let files: Vec<String> = (0..3).map(|n| governor_file(&machine, n)).collect();
    let mut line = vec!["governance", "draft", "rotate-keys", "--threshold", "2"];
    for file in &files {
        line.extend(["--governor", file]);
    }
    line.extend([
        "--genesis",
        &genesis,
        "--sequence",
        "3",
        "--output",
        &output,
    ]);
    let printed = machine.run(&line).unwrap();
    assert!(printed.contains("2 of these 3 governors"), "{printed}");
    let key = governor(2).public_key().to_string();
    assert!(printed.contains(&format!("governor 2: {key}")), "{printed}");
}
