//! Offline signing against the vectors that clients in other languages are tested with, and the failures before
//! anything is sent.

use super::*;
use crate::cli::cli_machine::Machine;
use crate::environment::Environment;
use crate::keystore::{self, KdfParameters, KeyKind, Password, UnlockedKey};
use serde_json::Value;
use zeroize::Zeroizing;

fn vectors() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/vectors/transactions.json"
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The key file of a vector's secret.
fn key_file(machine: &Machine, secret: &str) -> String {
    let mut bytes = [0; 32];
    hex::decode_to_slice(secret, &mut bytes).unwrap();
    let path = machine.path(&format!("{secret}.json"));
    if !path.exists() {
        let password = Password::new(Zeroizing::new(b"correct horse".to_vec()));
        let key = UnlockedKey::from_secret(KeyKind::Account, &bytes);
        let file = key.seal(&password, KdfParameters::INSECURE).unwrap();
        keystore::save_new(&path, &file).unwrap();
    }
    path.display().to_string()
}

/// The flags of a vector's action.
fn action_flags(action: &Value) -> Vec<String> {
    let text = |field: &str| match &action[field] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let url = || String::from_utf8(hex::decode(text("url")).unwrap()).unwrap();
    let kind = action["kind"].as_str().unwrap();
    let mut flags = vec![kind.replace('_', "-")];
    let mut flag = |name: &str, value: String| flags.push(format!("--{name}={value}"));
    match kind {
        "transfer" => {
            flag("to", text("to"));
            flag("amount", text("amount"));
            flag("memo-hex", text("memo"));
        }
        "create_account" => {
            flag("name", text("name"));
            flag("public-key", text("key"));
            flag("balance", text("balance"));
        }
        "update_key" => flag("public-key", text("key")),
        "register_validator" | "update_validator" => {
            flag("url", url());
            match (action["signing_key"].is_null(), kind) {
                (false, _) => flag("signing-key", text("signing_key")),
                (true, "register_validator") => flags.push("--disabled".to_owned()),
                (true, _) => flags.push("--disable".to_owned()),
            }
        }
        "stake" | "unstake" => {
            flag("validator", text("validator"));
            flag("amount", text("amount"));
        }
        "vote_properties" => {
            flag("transaction-fee", text("transaction_fee"));
            flag("byte-fee", text("byte_fee"));
            flag("account-creation-fee", text("account_creation_fee"));
        }
        "vote_hardfork" => flag("hardfork-version", text("version")),
        other => panic!("the command line has no verb for {other}"),
    }
    flags
}

#[test]
fn offline_signing_makes_the_transactions_of_the_vectors() {
    let machine = Machine::new();
    for vector in vectors()["valid"].as_array().unwrap() {
        let fields = &vector["fields"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut line = vec!["tx".to_owned()];
        line.extend(action_flags(&fields["action"]));
        line.push("--offline".to_owned());
        for (flag, value) in [
            ("from", text(&fields["sender"])),
            ("nonce", text(&fields["nonce"])),
            ("fee-max", text(&fields["fee_max"])),
            ("chain-id", text(&vector["chain_id"])),
            (
                "key",
                key_file(&machine, vector["secret_key"].as_str().unwrap()),
            ),
        ] {
            line.push(format!("--{flag}={value}"));
        }
        line.push(match &fields["expires_at"] {
            Value::Null => "--expires-in=never".to_owned(),
            at => format!("--expires-at={}", text(at)),
        });
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        let printed = machine.run(&line).unwrap();
        assert_eq!(
            printed.trim_end(),
            text(&vector["transaction"]),
            "{}",
            vector["name"]
        );
    }
}

#[test]
fn decoding_gives_back_what_the_vectors_say() {
    let machine = Machine::new();
    for vector in vectors()["valid"].as_array().unwrap() {
        let chain = vector["chain_id"].as_str().unwrap();
        let transaction = vector["transaction"].as_str().unwrap();
        let line = ["tx", "decode", transaction, "--chain-id", chain];
        let json = machine.run(&[&line[..], &["--json"]].concat()).unwrap();
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["id"], vector["id"]);
        assert_eq!(json["signature_valid"], true);
        assert_eq!(json["action"], vector["fields"]["action"]);
        assert_eq!(json["nonce"], vector["fields"]["nonce"]);
        assert_eq!(json["expires_at_ms"], vector["fields"]["expires_at"]);
        let shown = machine.run(&line).unwrap();
        assert!(shown.contains("valid for this chain"), "{shown}");
    }
}

#[test]
fn a_decoded_transaction_is_readable_and_a_foreign_signature_is_named() {
    let machine = Machine::new();
    let vectors = vectors();
    let transaction = vectors["valid"][0]["transaction"].as_str().unwrap();
    let unknown = machine.run(&["tx", "decode", transaction]).unwrap();
    for expected in [
        "a signed transaction\n",
        "from          alice\n",
        "action        transfer: amount 250, memo rent, to bob\n",
        "fee at most   1000 (0.001 coin)\n",
        "expires       never\n",
        "signature     not checked",
    ] {
        assert!(unknown.contains(expected), "{expected}: {unknown}");
    }
    let other = "22".repeat(32);
    let foreign = machine
        .run(&["tx", "decode", transaction, "--chain-id", &other])
        .unwrap();
    assert!(foreign.contains("NOT VALID for this chain"), "{foreign}");
}

#[test]
fn what_is_no_transaction_is_refused_before_anything_is_sent() {
    let machine = Machine::new();
    for vector in vectors()["invalid"].as_array().unwrap() {
        if vector["refusal"] == "bad_signature" {
            continue;
        }
        let transaction = vector["transaction"].as_str().unwrap();
        // A text that clap would take for a flag or for nothing at all cannot be given on a command line.
        let (verb, digits) = (
            "send",
            if transaction.is_empty() {
                "00"
            } else {
                transaction
            },
        );
        let failure = machine.failure(&["tx", verb, digits]);
        assert_eq!(
            failure.what, "this is no signed transaction",
            "{}",
            vector["name"]
        );
    }
    let failure = machine.failure(&["tx", "decode", "0xzz"]);
    assert!(failure.next_step.contains("--offline"), "{failure}");
}

fn offline(machine: &Machine, more: &[&str]) -> Failure {
    let key = key_file(machine, &"11".repeat(32));
    let line = [
        "tx",
        "transfer",
        "--from",
        "alice",
        "--to",
        "bob",
        "--amount",
        "1",
        "--key",
        &key,
        "--offline",
    ];
    machine.failure(&[&line[..], more].concat())
}

#[test]
fn offline_signing_says_what_it_lacks() {
    let machine = Machine::new();
    let chain = "c1".repeat(32);
    let failure = offline(&machine, &[]);
    assert!(failure.why.contains("--nonce <N>"), "{failure}");
    let failure = offline(&machine, &["--nonce", "0"]);
    assert!(
        failure
            .next_step
            .contains("--genesis FILE or --chain-id HEX"),
        "{failure}"
    );
    let failure = offline(&machine, &["--nonce", "0", "--chain-id", &chain]);
    assert!(failure.next_step.contains("--fee-max"), "{failure}");
    let memo = "x".repeat(257);
    let failure = offline(
        &machine,
        &[
            "--nonce",
            "0",
            "--chain-id",
            &chain,
            "--fee-max",
            "1",
            "--memo",
            &memo,
        ],
    );
    assert!(failure.why.contains("memo is 257 bytes long"), "{failure}");
    let failure = machine.failure(&[
        "tx",
        "update-validator",
        "--from",
        "alice",
        "--disable",
        "--offline",
        "--nonce",
        "0",
    ]);
    assert!(failure.next_step.contains("give --url"), "{failure}");
}

#[test]
fn a_key_of_another_kind_does_not_sign_transactions() {
    let mut machine = Machine::new();
    machine.run(&["init"]).unwrap();
    // It is refused before its password is wanted: there is none.
    machine.environment = Environment::default();
    let chain = "c1".repeat(32);
    let key = machine.key("network.json");
    let failure = machine.failure(&[
        "tx",
        "transfer",
        "--from",
        "alice",
        "--to",
        "bob",
        "--amount",
        "1",
        "--key",
        &key,
        "--offline",
        "--nonce",
        "0",
        "--chain-id",
        &chain,
        "--fee-max",
        "1",
    ]);
    assert_eq!(failure.what, "a key file is of the wrong kind");
}

/// Makes a genesis document with alice in it; returns its path.
fn genesis_file(machine: &Machine) -> String {
    let path = machine.path("genesis.toml").display().to_string();
    let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let other = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    let validator = format!("account=alice,key={other},stake=100000coin");
    let account = format!("name=alice,key={public},balance=500coin");
    machine
        .run(&[
            "genesis",
            "new",
            "--template",
            "devnet",
            "--emergency-key",
            public,
            "--governance-key",
            public,
            "--account",
            &account,
            "--validator",
            &validator,
            "--output",
            &path,
        ])
        .unwrap();
    path
}

/// A transfer of alice, signed with what the genesis document says.
fn signed_with_genesis(machine: &Machine, genesis: &str) -> String {
    let key = key_file(machine, &"11".repeat(32));
    let signed = machine
        .run(&[
            "tx",
            "transfer",
            "--from",
            "alice",
            "--to",
            "bob",
            "--amount",
            "1coin",
            "--key",
            &key,
            "--offline",
            "--nonce",
            "0",
            "--genesis",
            genesis,
        ])
        .unwrap();
    signed.trim_end().to_owned()
}

#[test]
fn the_genesis_document_gives_chain_and_fee_and_an_expiry_is_the_default() {
    let machine = Machine::new();
    let genesis = genesis_file(&machine);
    let signed = signed_with_genesis(&machine, &genesis);
    let json = machine
        .run(&["tx", "decode", &signed, "--genesis", &genesis, "--json"])
        .unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["signature_valid"], true);
    // Twice 1000 and 1 for each byte.
    let size = json["size_bytes"].as_u64().unwrap();
    assert_eq!(json["fee_max"], (2 * (1_000 + size)).to_string());
    assert!(json["expires_at_ms"].is_string());
}

#[test]
fn a_genesis_document_in_the_home_need_not_be_named() {
    let machine = Machine::new();
    let genesis = genesis_file(&machine);
    let signed = signed_with_genesis(&machine, &genesis);
    let home_genesis = machine.home().join("genesis.toml");
    std::fs::create_dir_all(machine.home()).unwrap();
    std::fs::copy(&genesis, home_genesis).unwrap();
    let shown = machine.run(&["tx", "decode", &signed]).unwrap();
    assert!(
        shown.contains("signature     valid for this chain"),
        "{shown}"
    );
}
