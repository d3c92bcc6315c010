//! Drills through the binary: a halt on real processes loses nothing and punishes the offenders only.

use serde_json::{Value, json};
use std::process::Command;

/// Plays a drill and gives its one run with these times; what the drill checks itself has held.
fn play(arguments: &[&str], times: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .arg("drill")
        .args(arguments)
        .arg("--json")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let result: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"));
    assert!(output.status.success(), "{errors}\n{result:#}");
    assert_eq!(result["passed"], true);
    assert_eq!(result["repetitions"], 1);
    let run = result["runs"][0].clone();
    for time in times {
        assert!(run[time].is_number(), "{time}: {run:#}");
    }
    assert_eq!(run["lost"], 0);
    assert_eq!(run["accepted"], run["irreversible"]);
    // A lockdown queues nothing.
    let held = run.get("refused_in_lockdown");
    let held = held.unwrap_or_else(|| &run["queued_during_halt"]);
    assert!(held.as_u64() >= Some(20), "{run:#}");
    run
}

fn run(drill: &str) -> Value {
    let times = [
        "detect_ms",
        "halted_everywhere_ms",
        "resume_request_to_first_commit_ms",
    ];
    let run = play(&[drill], &times);
    assert_eq!(run["halts"].as_array().map(Vec::len), Some(1));
    run
}

#[test]
fn a_hard_halt_stops_all_and_slashes_the_one_that_attested_another_root() {
    let run = run("hard-halt");
    assert_eq!(run["disturbed"], json!(["v3"]));
    assert_eq!(run["slashed"], json!(["validator-3"]));
}

#[test]
fn an_emergency_halt_stops_all_and_slashes_nobody() {
    let run = run("emergency-halt");
    assert_eq!(run["slashed"], json!([]));
}

#[test]
fn two_thirds_freeze_the_chain_and_let_it_go_on_and_the_others_can_do_neither() {
    let times = ["vote_to_frozen_ms", "vote_to_first_commit_ms"];
    let run = play(&["lockdown", "--byzantine"], &times);
    assert_eq!(run["disturbed"], json!(["v3"]));
    assert_eq!(run["slashed"], json!([]));
}

#[test]
fn a_master_takes_over_and_gives_the_chain_back_without_losing_a_transfer() {
    let times = [
        "kill_to_emergency_ms",
        "activation_late_ms",
        "return_to_keys_ms",
        "return_to_exit_ms",
        "exit_to_final_ms",
        "exit_to_dag_ms",
    ];
    let run = play(&["emergency-consensus"], &times);
    assert_eq!(run["disturbed"], json!(["v1", "v2", "v3"]));
    assert_eq!(run["slashed"], json!([]));
    assert!(run["accepted_in_emergency"].as_u64() >= Some(20), "{run:#}");
}
