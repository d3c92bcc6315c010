use super::*;
use crate::cli::cli_machine::Machine;

const KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
const OTHER_KEY: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";

fn output(machine: &Machine) -> String {
    machine.path("genesis.toml").display().to_string()
}

/// A complete document of a chain with one validator.
fn new_chain(machine: &Machine, more: &[&str]) -> Result<String, Failure> {
    let output = output(machine);
    let account = format!("name=alice,key={KEY},balance=500coin");
    let validator =
        format!("account=alice,key={OTHER_KEY},stake=100000coin,url=https://a.example/?a=1,b=2");
    let mut line = vec![
        "genesis",
        "new",
        "--template",
        "devnet",
        "--chain-name",
        "kelp",
        "--genesis-time",
        "2026-11-21T08:00:00Z",
        "--emergency-key",
        KEY,
        "--governance-key",
        KEY,
        "--governance-key",
        OTHER_KEY,
        "--account",
        &account,
        "--validator",
        &validator,
        "--output",
        &output,
    ];
    line.extend(more);
    machine.run(&line)
}

#[test]
fn a_complete_document_is_written_valid_and_shown() {
    let machine = Machine::new();
    let report = new_chain(&machine, &[]).unwrap();
    assert!(report.contains("next: give this very file"), "{report}");
    let file = output(&machine);
    let valid = machine.run(&["genesis", "validate", &file]).unwrap();
    assert!(valid.contains("genesis.toml is valid"), "{valid}");
    assert!(
        valid.contains("WARNING"),
        "one validator tolerates no fault: {valid}"
    );
    let shown = machine.run(&["genesis", "show", &file]).unwrap();
    assert!(shown.contains("q = n - f = 1"), "{shown}");
    let json = machine.run(&["genesis", "show", &file, "--json"]).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let genesis = Genesis::parse(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(json["chain_id"], genesis.chain_id().to_string());
    assert!(shown.contains(json["parameters_hash"].as_str().unwrap()));
    assert_eq!(json["accounts"][0]["balance"], "500000000");
    assert_eq!(json["validators"][0]["url"], "https://a.example/?a=1,b=2");
    assert_eq!(json["committee"]["quorum"], 1);
    assert_eq!(json["parameters"]["governance"]["threshold"], 2);
}

#[test]
fn a_document_is_the_same_from_its_text() {
    let machine = Machine::new();
    new_chain(&machine, &[]).unwrap();
    let text = std::fs::read_to_string(output(&machine)).unwrap();
    let genesis = Genesis::parse(&text).unwrap();
    assert_eq!(genesis.document().to_toml().unwrap(), text);
}

#[test]
fn what_is_not_given_is_left_open_and_said() {
    let machine = Machine::new();
    let file = output(&machine);
    for template in ["devnet", "council21", "committee128"] {
        let line = ["genesis", "new", "--template", template, "--output", &file];
        let report = machine.run(&line).unwrap();
        for open in [
            "not complete yet",
            "parameters.emergency.validator_public_key",
            "the 12 keys that govern",
            "the key of validator-1",
            "the signing key of validator-1",
        ] {
            assert!(report.contains(open), "{open}: {report}");
        }
        let failure = machine.failure(&["genesis", "validate", &file]);
        assert!(failure.why.contains("64 hexadecimal digits"), "{failure}");
        std::fs::remove_file(&file).unwrap();
    }
}

#[test]
fn violations_are_all_shown_with_field_rule_and_value() {
    let machine = Machine::new();
    new_chain(&machine, &[]).unwrap();
    let file = output(&machine);
    let text = std::fs::read_to_string(&file).unwrap();
    let broken = text
        .replace("gc_depth = 60", "gc_depth = 2")
        .replace("threshold = 2", "threshold = 9");
    std::fs::write(&file, broken).unwrap();
    let failure = machine.failure(&["genesis", "validate", &file]);
    assert_eq!(failure.code, ExitCode::Usage);
    for expected in [
        "parameters.dag.gc_depth: ",
        "; got 2",
        "governance.threshold: ",
        "; got 9",
    ] {
        assert!(failure.why.contains(expected), "{failure}");
    }
    let (json, failure) = machine.run_to_end(&["genesis", "validate", &file, "--json"]);
    assert!(failure.is_some());
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["valid"], false);
    assert_eq!(json["violations"][0]["field"], "parameters.dag.gc_depth");
    assert_eq!(json["violations"][0]["value"], "2");
}

#[test]
fn nothing_is_written_over_another_document_or_when_it_would_be_invalid() {
    let machine = Machine::new();
    let failure = new_chain(&machine, &["--governance-threshold", "3"]).unwrap_err();
    assert!(failure.why.contains("governance.threshold"), "{failure}");
    assert!(!machine.path("genesis.toml").exists());
    new_chain(&machine, &[]).unwrap();
    let before = std::fs::read_to_string(output(&machine)).unwrap();
    let failure = new_chain(&machine, &["--notes", "another"]).unwrap_err();
    assert!(failure.what.starts_with("cannot write"), "{failure}");
    assert_eq!(std::fs::read_to_string(output(&machine)).unwrap(), before);
}

#[test]
fn wrong_fields_are_refused_with_an_example() {
    let machine = Machine::new();
    for (flag, text, why) in [
        ("--account", "alice", "there is no '='"),
        ("--account", "name=alice", "balance is missing"),
        ("--account", "name=Alice,balance=1", "account name"),
        (
            "--account",
            "name=alice,balance=1.5",
            "balance: an amount is",
        ),
        (
            "--account",
            "name=a,name=b,balance=1",
            "name is given twice",
        ),
        (
            "--account",
            "name=a,blance=1",
            "there is no field \"blance\"",
        ),
        ("--validator", "account=alice", "stake is missing"),
        (
            "--validator",
            "account=alice,stake=1,key=nowhere",
            "neither 64 hexadecimal digits nor a file",
        ),
    ] {
        let line = [
            "genesis",
            "new",
            "--template",
            "devnet",
            "--output",
            "-",
            flag,
            text,
        ];
        let failure = machine.failure(&line);
        assert_eq!(failure.code, ExitCode::Usage);
        assert!(failure.why.contains(why), "{text}: {failure}");
    }
    let time = [
        "genesis",
        "new",
        "--template",
        "devnet",
        "--output",
        "-",
        "--genesis-time",
        "today",
    ];
    assert!(
        machine
            .failure(&time)
            .next_step
            .contains("2026-11-21T08:00:00Z")
    );
}

#[test]
fn a_file_that_is_not_there_is_said_to_be_so() {
    let machine = Machine::new();
    for verb in ["validate", "show"] {
        let failure = machine.failure(&["genesis", verb, "/nonexistent/genesis.toml"]);
        assert!(
            failure.what.contains("/nonexistent/genesis.toml"),
            "{failure}"
        );
    }
}
